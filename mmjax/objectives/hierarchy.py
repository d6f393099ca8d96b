"""Codes of several levels, each drawn one after the other under those above it."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.objectives.model import NetworkModel
from mmjax.processes.base import check_choice
from mmjax.processes.next_token import NextToken
from mmjax.rng import named, named_keys
from mmjax.samplers.base import scan
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, Int, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Hierarchy(Objective):
    """VQ-VAE-2's priors over the codes of a codec (Razavi et al. 2019, 1906.00446, section 3.2).

    The codec has ``grids(raw_shape)``, ``encode(values) -> found`` with ``found.codes`` by level,
    and ``decode(codes)``; no update should train it. Each level is a stream of its codes with the
    process NextToken, and a network of the same name. Where later levels read it, the level is a
    stream of another name too, a condition.

    Attributes:
      streams: the system's streams.
      levels: in the order in which they are drawn.
      read_as: of a level, the stream by which later ones read it.
      condition: the stream, of codes, that every network may read.
      stream: what the codec codes.
      network: the codec's name.
    """

    streams: Mapping[str, StreamSpec]
    levels: tuple[str, ...]
    read_as: Mapping[str, str]
    condition: str = "label"
    stream: str = "image"
    network: str = "autoencoder"

    def __post_init__(self):
        names = tuple(self.streams)
        for field, values in (
            ("levels", self.levels),
            ("read_as", tuple(self.read_as.values())),
            ("condition", (self.condition,)),
            ("stream", (self.stream,)),
        ):
            for value in values:
                check_choice("Hierarchy", field, value, names)
        for level in self.levels:
            if not isinstance(self.streams[level].process, NextToken):
                raise UserError(f"config.streams.{level}.process: must be NextToken here")

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The stream's values for the codec; for each level its own streams, codes all zero."""
        values = self.streams[self.stream].encode(batch).values
        codes = {
            level: jnp.zeros(self.streams[level].shape(len(values)), jnp.int32)
            for level in self.levels
        }
        streams = self._streams(codes, self.streams[self.condition].encode(batch))
        return {self.network: (values,), **{level: (streams,) for level in self.levels}}

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The condition and the codes that the codec finds, as streams."""
        values = self.streams[self.stream].encode(batch).values
        found = ctx.apply(self.network, values, method="encode").codes
        codes = {level: found[level].reshape(len(values), -1) for level in self.levels}
        return {"streams": self._streams(codes, self.streams[self.condition].encode(batch))}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The cross-entropy of each level's codes in nats per code."""
        terms = {}
        for level in self.levels:
            clean, spec = batch["streams"][level], self.streams[level]
            shifted, target = spec.process.corrupt(named(key, level), clean, clean.time)
            predicted = ctx.apply(
                level, {**batch["streams"], level: shifted}, train=True,
                rngs=named_keys(named(key, "network", level), "dropout"),
            )  # fmt: skip
            losses = spec.process.loss(predicted[level].values, target, shifted.time)
            terms[level] = Term(losses, clean.mask, spec.weight)
        return terms, Aux()

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """What the codec makes of codes drawn level by level under the condition.

        A condition that is not given is drawn evenly from its codes.

        Raises:
          UserError: something else is given, or the coded stream is not wanted.
        """
        if set(request.given) - {self.condition} or self.stream not in request.want:
            raise UserError(
                f"this hierarchy makes {self.stream!r}; give it {self.condition!r} alone"
            )
        streams = {self.condition: self._condition(request, key)}
        codes, spec = {}, self.streams[self.stream]
        for level in self.levels:
            empty = jnp.zeros(self.streams[level].shape(request.batch), jnp.int32)
            begun = self.streams[level].make(empty, time=jnp.ones((request.batch,)))
            drawn = scan(
                ctx.sampler, NetworkModel(ctx, level), self.streams, {**streams, level: begun},
                (level,), named(key, level),
            )  # fmt: skip
            codes[level] = drawn[level].values
            streams = self._streams(codes, streams[self.condition])
        grids = ctx.networks[self.network].grids(spec.modality.spec().shape)
        codes = {level: x.reshape(-1, *grids[level]) for level, x in codes.items()}
        return {self.stream: spec.make(ctx.apply(self.network, codes, method="decode"))}

    def _condition(self, request: Request, key: PRNGKeyArray) -> Stream:
        if request.given:
            return request.given[self.condition]
        spec = self.streams[self.condition]
        shape = spec.shape(request.batch)
        return spec.make(jax.random.randint(named(key, "condition"), shape, 0, spec.vocabulary))

    def _streams(
        self, codes: Mapping[str, Int[Array, "B N"]], condition: Stream
    ) -> dict[str, Stream]:
        """The condition, and each level's codes under all of its names."""
        streams = {self.condition: condition}
        for level, values in codes.items():
            for name in {level, self.read_as.get(level, level)}:
                streams[name] = self.streams[name].make(values)
        return streams
