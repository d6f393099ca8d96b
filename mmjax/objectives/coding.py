"""A codec that gives back what it took through a bottleneck, alone or before a critic."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.objectives.critic import CRITIC, Critic
from mmjax.objectives.errors import Absolute, Error
from mmjax.processes.base import check_choice
from mmjax.rng import named, named_keys
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, Float, Params, PRNGKeyArray, Tree

ADVERSARIAL = "adversarial"


@runtime_checkable
class Bottleneck(Protocol):
    """What an encoder finds: codes or a posterior."""

    def read(self, key: PRNGKeyArray | None = None) -> tuple:
        """The arguments of ``decode``; with a key they may be drawn."""

    def penalties(self, count: int) -> Mapping[str, Float[Array, "..."]]:
        """Losses by name, unweighted; ``count`` is how many values an example had before."""

    def use(self) -> Mapping[str, Float[Array, ""]]:
        """What to log, such as how many codes are in use."""


@dataclasses.dataclass(frozen=True)
class Coding(Objective):
    """The loss of a codec, in one update or, with a critic, in two.

    The network has ``encode(values, train) -> Bottleneck`` and ``decode(*found.read()) -> values``.
    Collections that the codec changes in its own update, such as moving codebooks, are kept.

    With errors of their own and a critic this is VQ-VAE's (van den Oord et al. 2017, 1711.00937,
    eq. 3), VQ-GAN's (Esser et al. 2021, 2012.09841, eq. 6) and waveform codecs'; with a posterior
    latent diffusion's autoencoders' (Rombach et al. 2022, 2112.10752, eq. 25). The critic's update
    is called ``discriminator``, like its network; the codec's has any other name.

    Attributes:
      streams: the system's streams.
      penalties: the weight of each of the bottleneck's losses, by name. A posterior's is its
        ``divergence``, in nats per value before coding: published weights are on that scale.
      stream: the one that is coded.
      network: the codec's name.
      errors: of the reconstruction, by name; those that need networks say which.
      critic: the second player.
    """

    streams: Mapping[str, StreamSpec]
    penalties: Mapping[str, float]
    stream: str = "image"
    network: str = "autoencoder"
    errors: Mapping[str, Error] = dataclasses.field(default_factory=lambda: {"l1": Absolute()})
    critic: Critic | None = None

    def __post_init__(self):
        check_choice("Coding", "stream", self.stream, tuple(self.streams))
        if twice := {*self.errors, *self.penalties} & {ADVERSARIAL} | (
            self.errors.keys() & self.penalties.keys()
        ):
            raise ValueError(f"Coding: {', '.join(sorted(twice))} names two terms of the loss")

    @property
    def reconstructs(self) -> tuple[str, ...]:
        """The stream, which comes back as it was given."""
        return (self.stream,)

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The stream's clean values for the players, and what the errors' networks take."""
        values = self._values(batch)
        found = {self.network: (values,)}
        if self.critic:
            found[CRITIC] = (values,)
        for error in self.errors.values():
            found |= error.inputs(values)
        return found

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The stream's clean values."""
        return {"values": self._values(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The terms of the player that ``update`` names."""
        real = batch["values"]
        found, changed = self._encode(ctx, real, key)
        vectors = found.read(named(key, "posterior"))
        made = self._decode(ctx, vectors)
        if self.critic and update == CRITIC:
            return self.critic.terms(ctx, real, made)
        terms = {
            name: Term(error(ctx, made, real), weight=error.weight)
            for name, error in self.errors.items()
        }
        terms |= self._penalised(found, real)
        if self.critic:
            weight = self._share(ctx, vectors, real)
            terms[ADVERSARIAL] = Term(self.critic.fooled(ctx, made), weight=weight)
        return terms, Aux(mutable={self.network: changed}, metrics=found.use())

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The given stream as it comes back through its codes, or a posterior's mean.

        Raises:
          UserError: the stream is not given; a codec has nothing to generate from.
        """
        if self.stream not in request.given:
            raise UserError(f"a codec only gives back what it is given; give it {self.stream!r}")
        given = request.given[self.stream]
        found = ctx.apply(self.network, given.values, method="encode")
        return {self.stream: given.replace(values=self._decode(ctx, found.read()))}

    def _encode(self, ctx: Context, values: Array, key: PRNGKeyArray) -> tuple[Bottleneck, Tree]:
        return ctx.apply(
            self.network, values, method="encode", train=True,
            mutable=list(ctx.mutable.get(self.network, {})),
            rngs=named_keys(named(key, "network"), "codes"),
        )  # fmt: skip

    def _decode(self, ctx: Context, vectors: tuple, params: Params | None = None) -> Array:
        return ctx.apply(self.network, *vectors, method="decode", params=params)

    def _penalised(self, found: Bottleneck, real: Array) -> dict[str, Term]:
        losses = found.penalties(math.prod(real.shape[1:]))
        if missing := sorted(losses.keys() ^ self.penalties.keys()):
            raise UserError(
                f"config.objective.penalties: this codec's losses are {', '.join(losses) or 'none'}"
                f"; give a weight to each and to no other ({', '.join(missing)})"
            )
        return {name: Term(loss, weight=self.penalties[name]) for name, loss in losses.items()}

    def _share(self, ctx: Context, vectors: tuple, real: Array) -> Float[Array, ""]:
        """The weight of the critic's judgement."""
        vectors = jax.lax.stop_gradient(vectors)

        def error(made: Array) -> Float[Array, ""]:
            return sum(e.weight * jnp.mean(e(ctx, made, real)) for e in self.errors.values())

        return self.critic.share(
            ctx, self.network, lambda params: self._decode(ctx, vectors, params), error
        )

    def _values(self, batch: Batch) -> Array:
        return self.streams[self.stream].encode(batch).values
