"""Every stream restored by its own process, in one network: the objective of generative models."""

import dataclasses
from collections.abc import Mapping

from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.objectives.model import NetworkModel
from mmjax.processes.times import TimeSampler
from mmjax.rng import named, named_keys
from mmjax.samplers.any_to_any import begin
from mmjax.samplers.base import scan
from mmjax.samplers.guidance import drop_stream
from mmjax.streams import Stream, StreamSpec, expand_time
from mmjax.typing import Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Joint(Objective):
    """Corrupts each stream by its process, predicts all in one network, sums the processes' losses.

    Attributes:
      streams: the system's streams.
      times: draws noise levels and dropped conditions.
      network: the network's name.
    """

    streams: Mapping[str, StreamSpec]
    times: TimeSampler = TimeSampler()
    network: str = "denoiser"

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The clean streams of the batch."""
        return {self.network: (self._encode(batch),)}

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
        noisy, targets, asked = {}, {}, {}
        for name, spec in self.streams.items():
            stream, targets[name] = spec.process.corrupt(
                named(key, "corrupt", name), clean[name], times.get(name, clean[name].time)
            )
            asked[name] = clean[name].mask
            if spec.drop_rate:
                stream = drop_stream(stream, spec, keep[name], named(key, "drop", name))
                asked[name] &= expand_time(keep[name], asked[name])
            noisy[name] = stream
        predicted = ctx.apply(
            self.network, noisy, train=True, rngs=named_keys(named(key, "network"), "dropout")
        )
        return {
            name: self._term(spec, asked[name], noisy[name], predicted[name], targets[name])
            for name, spec in self.streams.items()
            if spec.process.generative
        }, Aux()

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """Runs the config's sampler on the wanted streams; see :func:`begin` for the others."""
        streams = self.begin(request, key)
        return scan(ctx.sampler, self.model(ctx), self.streams, streams, request.want, key)

    def model(self, ctx: Context) -> NetworkModel:
        """The network as samplers see it."""
        return NetworkModel(ctx, self.network)

    def begin(self, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The streams that a sampler starts from."""
        return begin(self.streams, request.given, request.want, request.batch, key)

    def _encode(self, batch: Batch) -> dict[str, Stream]:
        return {name: spec.encode(batch) for name, spec in self.streams.items()}

    def _term(self, spec: StreamSpec, mask, noisy, predicted, target) -> Term:
        values = spec.process.loss(predicted.values, target, noisy.time)
        if not spec.process.continuous:
            return Term(values, mask, spec.weight)
        # What is at time 0 is a condition: the network is not asked to predict it.
        time = expand_time(noisy.time, mask)
        return Term(values, mask & (time > 0.0), spec.weight, time=time)
