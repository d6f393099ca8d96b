"""How far two clouds of points are from each other."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.objectives.base import Context
from mmjax.objectives.errors import Plain
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Chamfer(Plain):
    """The Chamfer distance (Fan et al. 2017, 1612.00603, eq. 1), a mean over the points of either.

    For each point the squared distance from the nearest of the other cloud; the order of points
    means nothing.
    """

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, " B"]:
        """One number for each pair of clouds ``[B, N, 3]`` and ``[B, M, 3]``."""
        there, back = _nearest(made, real), _nearest(real, made)
        return jnp.mean(there, axis=1) + jnp.mean(back, axis=1)


def _nearest(points: Float[Array, "B N 3"], others: Float[Array, "B M 3"]) -> Float[Array, "B N"]:
    """The squared distance of each point from the nearest of the others."""
    # Differences, not products: the distance of near points would be lost in what cancels.
    apart = jnp.sum(jnp.square(points[:, :, None] - others[:, None]), axis=-1)
    # By its place: the slope of a minimum looks for equals of it, which rounding may hide.
    places = jnp.argmin(jax.lax.stop_gradient(apart), axis=2)
    return jnp.sum(jnp.square(points - jnp.take_along_axis(others, places[..., None], 1)), axis=-1)
