"""Convolutions of clips that stand between copies of their own first and last frames."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.layers.causal_conv import join
from mmjax.typing import Array, Float


class EdgeConv(nn.Module):
    """A convolution that keeps the grid; copies of the first frame stand before the clip.

    Attributes:
      features: output channels.
      window: extent in frames, rows and columns.
      causal: whether all of the window's other frames are earlier ones, so that chunks of a clip
        give what the clip gives; if not, half of them are later ones, and copies of the last frame
        stand behind the clip.
      reflect: whether rows and columns are mirrored at the border, rather than zero beyond it.
    """

    features: int
    window: tuple[int, int, int] = (3, 3, 3)
    causal: bool = True
    reflect: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W D"]:
        """Applies the convolution."""
        others, *sides = self.window[0] - 1, *((size // 2, size // 2) for size in self.window[1:])
        if self.causal:
            x = join(self, x, jnp.repeat(x[:, :1], others, axis=1), others)
        else:
            around = ((0, 0), (others // 2, others // 2), *((0, 0),) * 3)
            x = jnp.pad(x, around, mode="edge")
        if self.reflect:
            x = jnp.pad(x, ((0, 0), (0, 0), *sides, (0, 0)), mode="reflect")
            sides = ((0, 0), (0, 0))
        return nn.Conv(self.features, self.window, padding=((0, 0), *sides), name="conv")(x)
