"""An autoencoder of shapes that says of any point whether it is inside."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.processes.base import check_choice
from mmjax.rng import named
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Occupancy(Objective):
    """3DShape2VecSet's loss (Zhang et al. 2023, 2301.11445, eq. 14 and 15).

    The network has ``encode(points) -> posterior`` and ``decode(latents, queries) -> logits``. The
    stream of queries holds four numbers for each: a place, and 1 inside the shape or 0 outside.

    Attributes:
      streams: the system's streams.
      surface: the stream of the surface's points.
      queries: the stream of points that are asked about.
      network: the autoencoder's name.
      divergence: weight of the KL divergence, a mean over the latents' numbers.
    """

    streams: Mapping[str, StreamSpec]
    surface: str = "surface"
    queries: str = "queries"
    network: str = "autoencoder"
    divergence: float = 1e-3

    def __post_init__(self):
        for field in ("surface", "queries"):
            check_choice("Occupancy", field, getattr(self, field), tuple(self.streams))

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The surface's points and the places that are asked about."""
        return {
            self.network: (self._values(batch, "surface"), self._values(batch, "queries")[..., :3])
        }

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The values of both streams."""
        return {field: self._values(batch, field) for field in ("surface", "queries")}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The cross-entropy of each answer, and the divergence; logs how many are ``right``."""
        places, inside = batch["queries"][..., :3], batch["queries"][..., 3]
        posterior = ctx.apply(self.network, batch["surface"], method="encode")
        latents = posterior.sample(named(key, "posterior"))
        logits = ctx.apply(self.network, latents, places, method="decode")
        return {
            "occupancy": Term(optax.sigmoid_binary_cross_entropy(logits, inside)),
            "divergence": Term(posterior.divergence(), weight=self.divergence),
        }, Aux(metrics={"right": jnp.mean((logits > 0.0) == (inside > 0.5))})

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The given queries with the chance of being inside the given surface in place of 0 and 1.

        Raises:
          UserError: surface or queries are not given.
        """
        if not {self.surface, self.queries} <= request.given.keys():
            raise UserError(
                f"this autoencoder answers questions; give it {self.surface!r} and {self.queries!r}"
            )
        surface, queries = (request.given[name].values for name in (self.surface, self.queries))
        posterior = ctx.apply(self.network, surface, method="encode")
        places = queries[..., :3]
        logits = ctx.apply(self.network, posterior.mean, places, method="decode")
        answers = jnp.concatenate([places, jax.nn.sigmoid(logits)[..., None]], axis=-1)
        return {self.queries: request.given[self.queries].replace(values=answers)}

    def _values(self, batch: Batch, field: str) -> Array:
        return self.streams[getattr(self, field)].encode(batch).values
