"""Clips of any length packed into rows of sound and of picture: masks, segments, own times."""

import dataclasses
from collections.abc import Mapping

from mmjax.objectives.base import Aux, Term
from mmjax.streams import StreamSpec
from tests.contracts.network import Plain


@dataclasses.dataclass(frozen=True)
class Packed(Plain):
    """Flow of two streams at a time of each token's own; noise comes with the batch."""

    streams: Mapping[str, StreamSpec]

    def inputs(self, batch, key):
        return {"denoiser": (self.noisy(batch),)}

    def noisy(self, batch):
        found = {}
        for name, spec in self.streams.items():
            clean, time = spec.encode(batch), batch[f"{name}_time"]
            alpha, sigma = spec.process.schedule(time[..., None])
            values = alpha * clean.values + sigma * batch[f"{name}_noise"]
            found[name] = clean.replace(values=values, time=time)
        return found

    def terms(self, ctx, batch, key, update):
        noisy, terms = self.noisy(batch), {}
        predicted = ctx.apply("denoiser", noisy, train=True)
        for name, spec in self.streams.items():
            target = {"clean": batch[name], "noise": batch[f"{name}_noise"]}
            loss = spec.process.loss(predicted[name].values, target, noisy[name].time)
            terms[name] = Term(loss, noisy[name].mask, time=noisy[name].time)
        return terms, Aux()
