"""A variational autoencoder of one stream under another, whose prior knows the condition too."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.processes.base import check_choice
from mmjax.processes.likelihood import Likelihood
from mmjax.rng import named
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class ConditionalVariational(Objective):
    """The conditional variational autoencoder (Sohn et al. 2015, eq. 4).

    The network has ``encode(values, condition) -> posterior``, ``prior(condition) -> posterior``
    and ``decode(latents, condition) -> predictions``; the stream's process is the likelihood of its
    values around these.

    Attributes:
      streams: the system's streams.
      stream: the one that is modelled.
      condition: the one, of codes, that it is modelled under.
      network: the autoencoder's name.
    """

    streams: Mapping[str, StreamSpec]
    stream: str = "image"
    condition: str = "label"
    network: str = "autoencoder"

    def __post_init__(self):
        for field in ("stream", "condition"):
            check_choice("ConditionalVariational", field, getattr(self, field), tuple(self.streams))
        if not isinstance(self.streams[self.stream].process, Likelihood):
            raise UserError(f"config.streams.{self.stream}.process: must be a Likelihood here")

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The clean values of stream and condition."""
        found = self.prepare(None, batch, key)
        return {self.network: (found["stream"].values, found["condition"].values)}

    def prepare(self, ctx: Context | None, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The stream and the condition, encoded by their codecs."""
        return {
            field: self.streams[getattr(self, field)].encode(batch)
            for field in ("stream", "condition")
        }

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """``-log p`` of the stream and the divergence of posterior from prior, in nats."""
        stream, condition = batch["stream"], batch["condition"].values
        posterior = ctx.apply(self.network, stream.values, condition, method="encode")
        prior = ctx.apply(self.network, condition, method="prior")
        latents = posterior.sample(named(key, "posterior"))
        predicted = ctx.apply(self.network, latents, condition, method="decode")
        losses = self.streams[self.stream].process.loss(predicted, stream.values, stream.time)
        return {
            self.stream: Term(jnp.sum(losses, axis=tuple(range(1, losses.ndim)))),
            "divergence": Term(jnp.sum(posterior.divergence(prior), axis=-1)),
        }, Aux()

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The likeliest stream under latents drawn from the condition's prior.

        A condition that is not given is drawn evenly from its codes. A stream that is given beside
        its condition comes back, by the mean of its posterior.

        Raises:
          UserError: something else is given or wanted.
        """
        known = set(), {self.condition}, {self.stream, self.condition}
        if set(request.given) not in known or request.want != (self.stream,):
            raise UserError(
                f"this model makes {self.stream!r}; give it {self.condition!r}, beside which it "
                f"also takes {self.stream!r} to give it back"
            )
        spec, condition = self.streams[self.stream], self._condition(request, key)
        if self.stream in request.given:
            values = request.given[self.stream].values
            latents = ctx.apply(self.network, values, condition, method="encode").mean
        else:
            prior = ctx.apply(self.network, condition, method="prior")
            latents = prior.sample(named(key, "prior"))
        predicted = ctx.apply(self.network, latents, condition, method="decode")
        return {self.stream: spec.make(spec.process.mode(predicted))}

    def _condition(self, request: Request, key: PRNGKeyArray) -> Array:
        if request.given:
            return request.given[self.condition].values
        spec = self.streams[self.condition]
        shape = spec.shape(request.batch)
        return jax.random.randint(named(key, "condition"), shape, 0, spec.vocabulary)
