"""The encoder of DALL-E's discrete VAE: pictures to a grid of codes."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.pyramid import image_grid
from mmjax.codecs.quantisers.base import Quantised
from mmjax.typing import Array, Float

_GROWTH = (1, 2, 4, 8)  # channels of each group in widths of the first


class DVAEEncoder(nn.Module):
    """Images to 8x8 times fewer codes (Ramesh et al. 2021, 2102.12092, appendix A.2).

    The defaults are the published ones, 53,786,240 parameters, which FLAVA uses too.

    Attributes:
      channels: channels of the image.
      width: channels of the first group of blocks; those of the last are eight times as many.
      blocks: residual blocks per group.
      vocabulary: codes.
    """

    channels: int = 3
    width: int = 256
    blocks: int = 2
    vocabulary: int = 8192

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The grid of codes of an image ``(H, W, channels)``."""
        return image_grid(raw_shape, 2 ** (len(_GROWTH) - 1), "DVAEEncoder")

    def encode(self, images: Float[Array, "B H W C"]) -> Quantised:
        """The most likely codes ``[B, h, w]`` of images in [0.1, 0.9].

        ``mean`` are their logits, ``values`` the choice as a one among zeros.
        """
        return self(images)

    @nn.compact
    def __call__(self, images: Float[Array, "B H W C"]) -> Quantised:
        """The same as :meth:`encode`."""
        self.grid(images.shape[1:])
        x = nn.Conv(self.width, (7, 7), name="conv_in")(images)
        gain = 1 / (len(_GROWTH) * self.blocks) ** 2
        for group, growth in enumerate(_GROWTH):
            for block in range(self.blocks):
                name = f"group_{group}_block_{block}"
                x = _Block(self.width * growth, gain, name=name)(x)
            if group < len(_GROWTH) - 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
        logits = nn.Conv(self.vocabulary, (1, 1), name="conv_out")(nn.relu(x))
        codes = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        return Quantised(
            logits, jax.nn.one_hot(codes, self.vocabulary), codes, {}, vocabulary=self.vocabulary
        )


class _Block(nn.Module):
    """Four convolutions through a quarter of the channels, faint beside a shortcut.

    Attributes:
      features: output channels.
      gain: factor of what the convolutions find.
    """

    features: int
    gain: float

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """Applies the block on an unchanged grid."""
        y, inner = x, self.features // 4
        for index, (width, side) in enumerate(((inner, 3),) * 3 + ((self.features, 1),)):
            y = nn.Conv(width, (side, side), name=f"conv_{index}")(nn.relu(y))
        if x.shape[-1] != self.features:
            x = nn.Conv(self.features, (1, 1), name="shortcut")(x)
        return x + self.gain * y
