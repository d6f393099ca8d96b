"""Distances of images in the features of a network that classifies them (LPIPS)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Array, Float

# Means and deviations of ImageNet's colours, for values in [-1, 1].
_SHIFT = np.array((-0.030, -0.088, -0.188), np.float32)
_SCALE = np.array((0.458, 0.448, 0.450), np.float32)
_EPS = 1e-10
_INIT = nn.initializers.he_normal()


class PerceptualDistance(nn.Module):
    """The learned perceptual distance (Zhang et al. 2018, 1801.03924, eq. 1) on VGG16.

    The defaults are the published network of 14,714,688 parameters (Simonyan & Zisserman 2014,
    1409.1556, configuration D) with 1,472 weights of channels, whose values users import: see
    :mod:`mmjax.interop.perceptual`. Fresh parameters are a stand-in: random features, all channels
    of a layer alike.

    Attributes:
      widths: channels per resolution, highest resolution first.
      convolutions: how many there are at each.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    convolutions: tuple[int, ...] = (2, 2, 3, 3, 3)

    @nn.compact
    def __call__(
        self, first: Float[Array, "B H W C"], second: Float[Array, "B H W C"]
    ) -> Float[Array, "B"]:
        """The distance of images in [-1, 1], in colour or grey.

        Raises:
          UserError: they have neither 1 nor 3 channels, or too few pixels to be halved so often.
        """
        least = 2 ** (len(self.widths) - 1)
        *sides, channels = first.shape[1:]
        if channels not in (1, 3) or min(sides) < least:
            raise UserError(
                f"image of {sides[0]}x{sides[1]}x{channels}: PerceptualDistance takes 1 or 3 "
                f"channels and at least {least}x{least} pixels"
            )
        both = jnp.concatenate([first, second])
        x = (jnp.broadcast_to(both, (*both.shape[:-1], 3)) - _SHIFT) / _SCALE
        total = jnp.zeros(len(first))
        for level, (width, count) in enumerate(zip(self.widths, self.convolutions, strict=True)):
            x = nn.max_pool(x, (2, 2), (2, 2)) if level else x
            for index in range(count):
                name = f"level_{level}_conv_{index}"
                x = nn.relu(nn.Conv(width, (3, 3), kernel_init=_INIT, name=name)(x))
            # Added under the root, so that there is a slope where nothing was found.
            unit = x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + _EPS)
            a, b = jnp.split(unit, 2)
            even = nn.initializers.constant(1.0 / width)
            head = nn.Dense(1, use_bias=False, kernel_init=even, name=f"level_{level}_head")
            total += jnp.mean(head(jnp.square(a - b)), axis=(1, 2, 3))
        return total
