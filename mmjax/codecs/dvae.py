"""DALL-E's discrete VAE: pictures to a grid of codes and back."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.pyramid import image_grid
from mmjax.codecs.quantisers.base import Quantised, vectors
from mmjax.codecs.quantisers.gumbel import Gumbel
from mmjax.layers.conv import repeat_pixels
from mmjax.typing import Array, Float, Int

_GROWTH = (1, 2, 4, 8)  # channels of each group in widths of the first
_Sides = tuple[int, int, int, int]


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
        for group, growth in enumerate(_GROWTH):
            x = _group(x, group, self.width * growth, self.blocks, (3, 3, 3, 1))
            if group < len(_GROWTH) - 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
        logits = nn.Conv(self.vocabulary, (1, 1), name="conv_out")(nn.relu(x))
        codes = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        return Quantised(
            logits, jax.nn.one_hot(codes, self.vocabulary), codes, {}, vocabulary=self.vocabulary
        )


class DVAEDecoder(nn.Module):
    """The codes' vectors to twice as many numbers as an image has (ibid., appendix A.2).

    Attributes:
      channels: channels of the image.
      width: channels of the last group of blocks; those of the first are eight times as many.
      blocks: residual blocks per group.
    """

    channels: int
    width: int
    blocks: int

    @nn.compact
    def __call__(self, x: Float[Array, "B h w Z"]) -> Float[Array, "B H W D"]:
        """Eight times the resolution."""
        x += self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        for group, growth in enumerate(reversed(_GROWTH)):
            x = _group(x, group, self.width * growth, self.blocks, (1, 3, 3, 3))
            if group < len(_GROWTH) - 1:
                x = repeat_pixels(x)
        return nn.Conv(2 * self.channels, (1, 1), name="conv_out")(nn.relu(x))


class DVAE(nn.Module):
    """Images to codes and back, relaxed in training (Ramesh et al. 2021, 2102.12092, appendix A).

    The decoder gives the location and the logarithm of the scale of a logit-Laplace distribution
    over pixels in [0.1, 0.9]. The defaults are the published ones: 97,616,006 parameters.

    Attributes:
      channels, width, blocks, vocabulary: of both halves, see :class:`DVAEEncoder`.
      size: length of a code's vector.
    """

    channels: int = 3
    width: int = 256
    blocks: int = 2
    vocabulary: int = 8192
    size: int = 128

    def setup(self):
        """The two halves, and the vectors of the codes."""
        self.encoder = DVAEEncoder(self.channels, self.width, self.blocks, self.vocabulary)
        self.quantiser = Gumbel(self.vocabulary, self.size)
        self.decoder = DVAEDecoder(self.channels, self.width, self.blocks)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The grid of codes of an image ``(H, W, channels)``."""
        return image_grid(raw_shape, 2 ** (len(_GROWTH) - 1), "DVAE")

    def encode(
        self,
        images: Float[Array, "B H W C"],
        *,
        train: bool = False,
        temperature: float | Float[Array, ""] = 1.0,
    ) -> Quantised:
        """Codes ``[B, h, w]`` of images in [0.1, 0.9]; with ``train``, mixtures of their vectors.

        Mixtures, see :class:`Gumbel`, have this ``temperature``.
        """
        return self.quantiser(self.encoder(images).mean, train=train, temperature=temperature)

    def decode(
        self, codes: Int[Array, "B h w"] | Float[Array, "B h w Z"]
    ) -> Float[Array, "B H W D"]:
        """Locations, then logarithms of scales, from codes or from vectors."""
        return self.decoder(vectors(self.quantiser, codes))

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """What the decoder makes of the likeliest codes."""
        return self.decode(self.encode(images).values)


def _group(x: Float[Array, "B H W C"], group: int, features: int, blocks: int, sides: _Sides):
    """Residual blocks of one resolution."""
    gain = 1 / (len(_GROWTH) * blocks) ** 2
    for block in range(blocks):
        x = _Block(features, gain, sides, name=f"group_{group}_block_{block}")(x)
    return x


class _Block(nn.Module):
    """Four convolutions through a quarter of the channels, faint beside a shortcut.

    Attributes:
      features: output channels.
      gain: factor of what the convolutions find.
      sides: of their kernels.
    """

    features: int
    gain: float
    sides: _Sides

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """Applies the block on an unchanged grid."""
        y, inner = x, self.features // 4
        widths = (inner, inner, inner, self.features)
        for index, (width, side) in enumerate(zip(widths, self.sides, strict=True)):
            y = nn.Conv(width, (side, side), name=f"conv_{index}")(nn.relu(y))
        if x.shape[-1] != self.features:
            x = nn.Conv(self.features, (1, 1), name="shortcut")(x)
        return x + self.gain * y
