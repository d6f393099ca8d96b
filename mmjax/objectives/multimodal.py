"""Variational autoencoders of several streams with common latents: any streams from any others."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.objectives.multimodal_bounds import ESTIMATORS, evidence
from mmjax.processes.base import check_choice
from mmjax.processes.likelihood import Likelihood
from mmjax.rng import named
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, Float, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Experts(Objective):
    """What the two kinds have in common.

    Each stream has a network of its own name, with ``encode(values) -> posterior`` over latents
    ``[B, Z]`` and ``decode(latents [N, Z]) -> predictions``, and its process is the likelihood of
    its values around these. The prior is standard normal.

    Attributes:
      streams: the system's streams; the weight of each is a factor of its log-likelihood.
    """

    streams: Mapping[str, StreamSpec]

    def __post_init__(self):
        for name, spec in self.streams.items():
            if not isinstance(spec.process, Likelihood):
                raise UserError(f"config.streams.{name}.process: must be a Likelihood here")

    @abc.abstractmethod
    def fuse(self, posteriors: Sequence[Any], key: PRNGKeyArray) -> Float[Array, "B Z"]:
        """Latents drawn under the posteriors of at least one stream."""

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """Each stream's clean values for its own network."""
        return {name: (spec.encode(batch).values,) for name, spec in self.streams.items()}

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The batch's streams, encoded by their codecs."""
        return {"streams": {name: spec.encode(batch) for name, spec in self.streams.items()}}

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The likeliest wanted streams under latents drawn from what is given, else the prior."""
        if request.given:
            posteriors = [
                ctx.apply(name, stream.values, method="encode")
                for name, stream in request.given.items()
            ]
            latents = self.fuse(posteriors, key)
        else:
            latents = self._from_prior(ctx, request.batch, key)
        return {name: self._decoded(ctx, name, latents) for name in request.want}

    def log_likelihood(
        self, ctx: Context, name: str, stream: Stream, latents: Float[Array, "B Z"]
    ) -> Float[Array, "B"]:
        """Log p(stream | latents) in nats, times the stream's weight."""
        spec = self.streams[name]
        predicted = ctx.apply(name, latents, method="decode")
        losses = spec.process.loss(predicted, stream.values, stream.time)
        seen = jnp.where(stream.mask, losses, 0.0)
        return -spec.weight * jnp.sum(seen, axis=tuple(range(1, seen.ndim)))

    def _decoded(self, ctx: Context, name: str, latents: Float[Array, "B Z"]) -> Stream:
        spec = self.streams[name]
        return spec.make(spec.process.mode(ctx.apply(name, latents, method="decode")))

    def _from_prior(self, ctx: Context, batch: int, key: PRNGKeyArray) -> Float[Array, "B Z"]:
        name, spec = next(iter(self.streams.items()))
        blank = jax.ShapeDtypeStruct(spec.shape(batch), jnp.int32 if spec.discrete else jnp.float32)
        posterior = jax.eval_shape(lambda values: ctx.apply(name, values, method="encode"), blank)
        return jax.random.normal(named(key, "prior"), posterior.mean.shape)


@dataclasses.dataclass(frozen=True)
class ProductOfExperts(Experts):
    """MVAE: the posterior is a product of experts (Wu & Goodman 2018, 1802.05335).

    The loss is the sum of the negative evidence lower bounds of all streams together and of each
    alone (ibid., eq. 4 without random subsets), so that every encoder can also stand alone.

    Attributes:
      annealed: steps over which the weight of the divergence rises from 0 to 1.
    """

    annealed: int = 0

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """For each bound a divergence, and for each stream in it ``-log p``, in nats."""
        streams = batch["streams"]
        experts = {
            name: ctx.apply(name, stream.values, method="encode")
            for name, stream in streams.items()
        }
        subsets = {"joint": tuple(streams)} | {f"{name}_alone": (name,) for name in streams}
        weight = 1.0
        if self.annealed:
            weight = jnp.minimum(1.0, jnp.asarray(ctx.step) / self.annealed)
        terms = {}
        for label, names in subsets.items():
            first, *others = (experts[name] for name in names)
            posterior = first.product(*others)
            latents = posterior.sample(named(key, label))
            for name in names:
                found = self.log_likelihood(ctx, name, streams[name], latents)
                terms[f"{label}/{name}"] = Term(-found)
            divergence = jnp.sum(posterior.divergence(), axis=-1)
            terms[f"{label}/divergence"] = Term(divergence, weight=weight)
        return terms, Aux()

    def fuse(self, posteriors: Sequence[Any], key: PRNGKeyArray) -> Float[Array, "B Z"]:
        """A sample of the product of the experts and the prior."""
        first, *others = posteriors
        return first.product(*others).sample(named(key, "posterior"))


@dataclasses.dataclass(frozen=True)
class MixtureOfExperts(Experts):
    """MMVAE: the posterior is a mixture of experts (Shi et al. 2019, 1911.03393).

    Latents of each stream's expert decode every stream, so each learns to give all others back.

    Attributes:
      draws: latents of each expert.
      estimator: ``"elbo"``, ``"iwae"`` or ``"dreg"``, see ``multimodal_bounds``.
    """

    draws: int = 1
    estimator: str = "dreg"

    def __post_init__(self):
        super().__post_init__()
        check_choice("MixtureOfExperts", "estimator", self.estimator, tuple(ESTIMATORS))
        if self.draws < 1:
            raise ValueError(f"MixtureOfExperts.draws must be at least 1, not {self.draws}")

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """``bound``: the negative lower bound of log p of all streams, in nats per example."""
        streams = batch["streams"]
        experts = [ctx.apply(name, s.values, method="encode") for name, s in streams.items()]

        def log_joint(latents: Float[Array, "K B Z"]) -> Float[Array, "K B"]:
            prior = -0.5 * (jnp.square(latents) + jnp.log(2.0 * jnp.pi))
            given = jax.vmap(
                lambda z: sum(self.log_likelihood(ctx, n, s, z) for n, s in streams.items())
            )
            return jnp.sum(prior, axis=-1) + given(latents)

        bound = evidence(
            experts, log_joint, named(key, "latents"), draws=self.draws, estimator=self.estimator
        )
        return {"bound": Term(-bound)}, Aux()

    def fuse(self, posteriors: Sequence[Any], key: PRNGKeyArray) -> Float[Array, "B Z"]:
        """A sample of one expert, drawn anew for each example."""
        drawn = [
            posterior.sample(named(key, "posterior", index))
            for index, posterior in enumerate(posteriors)
        ]
        stacked = jnp.stack(drawn)
        chosen = jax.random.randint(named(key, "expert"), stacked.shape[1:2], 0, len(drawn))
        return stacked[chosen, jnp.arange(stacked.shape[1])]
