"""Every stream restored by its own process, in one network: the objective of generative models."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Request, Term
from mmjax.processes.times import TimeSampler
from mmjax.rng import named, named_keys
from mmjax.samplers.base import scan
from mmjax.samplers.guidance import drop_stream
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Joint:
    """Corrupts each stream by its process, predicts all in one network, sums the processes' losses.

    Attributes:
      streams: the system's streams.
      times: draws noise levels and dropped conditions.
      network: the network's name.
    """

    streams: Mapping[str, StreamSpec]
    times: TimeSampler
    network: str = "denoiser"
    whole_batch = False

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The clean streams of the batch."""
        return {self.network: (self._encode(batch),)}

    def init_state(self, batch: Batch) -> None:
        """None: the objective keeps no state."""

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The batch's streams, encoded."""
        return {"streams": self._encode(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """One term per generative stream, named after it."""
        clean = batch["streams"]
        size = next(iter(clean.values())).values.shape[0]
        times, keep = self.times.draw(named(key, "times"), self.streams, size)
        noisy, targets = {}, {}
        for name, spec in self.streams.items():
            stream, targets[name] = spec.process.corrupt(
                named(key, "corrupt", name), clean[name], times.get(name, clean[name].time)
            )
            if spec.drop_rate:
                stream = drop_stream(stream, spec, keep[name], named(key, "drop", name))
            noisy[name] = stream
        predicted = ctx.apply(
            self.network, noisy, train=True, rngs=named_keys(named(key, "network"), "dropout")
        )
        return {
            name: self._term(spec, clean[name], noisy[name], predicted[name], targets[name])
            for name, spec in self.streams.items()
            if spec.process.generative
        }, Aux()

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """Runs the config's sampler on the wanted streams; streams neither given nor wanted are absent."""
        return scan(
            ctx.sampler, self.model(ctx), self.streams, self.begin(request, key), request.want, key
        )

    def model(self, ctx: Context):
        """The network as the samplers see it."""

        def model(streams, cache: Any = None):
            if cache is None:
                predicted = ctx.apply(self.network, streams)
            else:
                predicted, cache = self._decode(ctx, streams, cache)
            return {name: stream.values for name, stream in predicted.items()}, cache

        return model

    def begin(self, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The given streams, empty wanted ones, and the others dropped as their specs declare."""
        unknown = (set(request.given) | set(request.want)) - set(self.streams)
        if unknown:
            raise UserError(
                f"no stream named {', '.join(sorted(unknown))}; "
                f"this system has {', '.join(self.streams)}"
            )
        streams = {}
        for name, spec in self.streams.items():
            if name in request.given:
                streams[name] = request.given[name]
                continue
            empty = spec.make(
                jnp.zeros(spec.shape(request.batch), jnp.int32 if spec.discrete else jnp.float32)
            )
            if name not in request.want:
                nothing = jnp.zeros((request.batch,), bool)
                empty = drop_stream(empty, spec, nothing, named(key, "absent", name))
            streams[name] = empty
        return streams

    def _encode(self, batch: Batch) -> dict[str, Stream]:
        return {name: spec.encode(batch) for name, spec in self.streams.items()}

    def _decode(self, ctx: Context, streams, cache):
        variables = {"params": ctx.params[self.network], "cache": cache}
        predicted, changed = ctx.networks[self.network].apply(
            variables, streams, decode=True, mutable=["cache"]
        )
        return predicted, changed["cache"]

    def _term(self, spec: StreamSpec, clean, noisy, predicted, target) -> Term:
        values = spec.process.loss(predicted.values, target, noisy.time)
        mask = clean.mask
        if not spec.process.continuous:
            return Term(values, mask, spec.weight)
        time = noisy.time.reshape(noisy.time.shape + (1,) * (mask.ndim - noisy.time.ndim))
        # A stream at time 0 is a condition: the network is not asked to predict it.
        return Term(values, mask & (time > 0.0), spec.weight, time=time)

