"""An autoencoder that gives back what it took, through a posterior kept near the normal."""

import dataclasses
import math
from collections.abc import Mapping

import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Request, Term
from mmjax.processes.base import check_choice
from mmjax.rng import named
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """The variational objective of latent diffusion's autoencoder (Rombach et al. 2022, eq. 25).

    The network has ``encode(values) -> posterior`` and ``decode(latents) -> values``; a posterior
    has ``mean``, ``sample(key)`` and ``divergence()``, the KL divergence per latent value.

    Attributes:
      streams: the system's streams.
      stream: the one that is coded.
      network: the autoencoder's name.
      error: ``"l1"`` or ``"l2"``, per value of the stream.
      divergence: weight of the KL divergence, whose sum over an example is divided by the number
        of values that the example has before coding: published weights are on that scale.
    """

    streams: Mapping[str, StreamSpec]
    stream: str = "image"
    network: str = "autoencoder"
    error: str = "l1"
    divergence: float = 1e-6
    whole_batch = False

    def __post_init__(self):
        check_choice("Reconstruction", "error", self.error, ("l1", "l2"))
        check_choice("Reconstruction", "stream", self.stream, tuple(self.streams))

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The stream's clean values."""
        return {self.network: (self._values(batch),)}

    def init_state(self, batch: Batch) -> None:
        """None: the objective keeps no state."""

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The stream's clean values."""
        return {"values": self._values(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The error of a reconstruction from a sample of the posterior, and the divergence."""
        values = batch["values"]
        posterior = ctx.apply(self.network, values, method="encode")
        latents = posterior.sample(named(key, "posterior"))
        difference = ctx.apply(self.network, latents, method="decode") - values
        error = jnp.abs(difference) if self.error == "l1" else jnp.square(difference)
        divergence = jnp.sum(posterior.divergence(), axis=tuple(range(1, values.ndim)))
        return {
            self.stream: Term(error),
            "divergence": Term(divergence / math.prod(values.shape[1:]), weight=self.divergence),
        }, Aux()

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The given stream as it comes back through the posterior's mean.

        Raises:
          UserError: the stream is not given; an autoencoder has nothing to generate from.
        """
        if self.stream not in request.given:
            raise UserError(
                f"an autoencoder only gives back what it is given; give it {self.stream!r}"
            )
        given = request.given[self.stream]
        posterior = ctx.apply(self.network, given.values, method="encode")
        values = ctx.apply(self.network, posterior.mean, method="decode")
        return {self.stream: given.replace(values=values)}

    def _values(self, batch: Batch):
        return self.streams[self.stream].encode(batch).values
