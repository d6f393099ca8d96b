"""The autoencoder of point clouds: points in any order to one vector, and back to points."""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.tree import pytree
from mmjax.typing import Array, Float, PRNGKeyArray


@pytree
@dataclasses.dataclass(frozen=True)
class Certain:
    """The vector of each cloud: a bottleneck that draws nothing and costs nothing.

    Attributes:
      mean: ``[B, Z]``.
    """

    mean: Float[Array, "B Z"]

    def read(self, key: PRNGKeyArray | None = None) -> tuple[Float[Array, "B Z"]]:
        """The vectors, with or without a key."""
        return (self.mean,)

    def penalties(self, count: int) -> Mapping[str, Float[Array, "..."]]:
        """None."""
        return {}

    def use(self) -> Mapping[str, Float[Array, ""]]:
        """Nothing to log."""
        return {}


class PointAutoencoder(nn.Module):
    """Achlioptas et al., 1707.02392, section 4 and appendix A; the defaults are the published ones.

    Each point goes through the same layers (PointNet, 1612.00593); the largest of each feature over
    all points is the cloud's vector, whatever their order. Three dense layers make points of it.

    Attributes:
      points: of a cloud.
      size: numbers of its vector.
      widths: of the layers of a point before the last, which has ``size``.
      hidden: of the dense layers before the last.
    """

    points: int = 2048
    size: int = 128
    widths: tuple[int, ...] = (64, 128, 128, 256)
    hidden: tuple[int, ...] = (256, 256)

    def setup(self):
        """The layers of either half."""
        widths = (*self.widths, self.size)
        self.each = [nn.Dense(width) for width in widths]
        self.norms = [nn.BatchNorm(momentum=0.9, epsilon=1e-5) for _ in widths]
        self.dense = [nn.Dense(width) for width in (*self.hidden, 3 * self.points)]

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[()]:
        """No axis: one vector for all points; UserError for another number of them."""
        if tuple(raw_shape) != (self.points, 3):
            raise UserError(
                f"PointAutoencoder: points {tuple(raw_shape)}; this one takes ({self.points}, 3)"
            )
        return ()

    def encode(self, points: Float[Array, "B N 3"], *, train: bool = False) -> Certain:
        """The vector of each cloud; ``train`` normalises by the batch and follows its moments."""
        self.grid(points.shape[1:])
        x = points
        for layer, norm in zip(self.each, self.norms, strict=True):
            x = norm(nn.relu(layer(x)), use_running_average=not train)
        # By its place: the slope of a maximum looks for equals of it, which rounding may hide.
        largest = jnp.argmax(jax.lax.stop_gradient(x), axis=1, keepdims=True)
        return Certain(jnp.take_along_axis(x, largest, axis=1)[:, 0])

    def decode(self, vectors: Float[Array, "B Z"]) -> Float[Array, "B N 3"]:
        """The points of each cloud, in an order that means nothing."""
        *hidden, last = self.dense
        for layer in hidden:
            vectors = nn.relu(layer(vectors))
        return last(vectors).reshape(-1, self.points, 3)

    def __call__(self, points: Float[Array, "B N 3"]) -> Float[Array, "B N 3"]:
        """The reconstruction."""
        return self.decode(self.encode(points).mean)
