"""Text, a picture by flow, text again, on one cache (after Deng et al. 2505.14683, BAGEL)."""

import dataclasses

from mmjax.objectives.joint import Joint
from mmjax.rng import named
from mmjax.samplers.autoregressive import Autoregressive
from mmjax.samplers.base import Continued, Sampler, scan
from mmjax.samplers.ode import Euler


@dataclasses.dataclass(frozen=True)
class Interleaved(Joint):
    """The picture is two streams: a noisy one to learn from, a clean one for what comes after."""

    writer: Sampler = Autoregressive(temperature=0.0)
    painter: Sampler = Euler(steps=3)

    def sample(self, ctx, request, key):
        model, streams, done = self.model(ctx), self.begin(request, key), {}
        cache = model.cache(streams)

        def denoise(name, sampler):
            """Made from noise, or code by code, after what the cache holds; it is not appended."""
            specs, start = {name: self.streams[name]}, {name: streams[name]}
            held = Continued(model, cache)
            return scan(sampler, held, specs, start, (name,), named(key, name))[name]

        def append(name, values):
            spec = self.streams[name]
            done[name] = spec.make(values)
            return model.decode({name: spec.process.observe(done[name])}, cache)[1]

        cache = append("before", denoise("before", self.writer).values)
        cache = append("picture", denoise("noisy", self.painter).values)
        cache = append("after", denoise("after", self.writer).values)
        return done
