"""The image codec of VQ-VAE-2: a small grid of codes over a larger one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.pyramid import image_grid
from mmjax.codecs.quantisers.base import Quantised, vectors
from mmjax.tree import pytree
from mmjax.typing import Array, Float, PRNGKeyArray

TOP, BOTTOM = "top", "bottom"
_STRIDES = {BOTTOM: 4, TOP: 8}  # pixels a side for each code


@pytree
@dataclasses.dataclass(frozen=True)
class Levels:
    """What each level of a codec has quantised.

    Attributes:
      found: by level.
    """

    found: Mapping[str, Quantised]

    @property
    def values(self) -> dict[str, Array]:
        """What the decoder reads, by level."""
        return {name: level.values for name, level in self.found.items()}

    @property
    def codes(self) -> dict[str, Array]:
        """The codes by level."""
        return {name: level.codes for name, level in self.found.items()}

    def read(self, key: PRNGKeyArray | None = None) -> tuple[dict[str, Array]]:
        """What the decoder takes, with or without a key."""
        return (self.values,)

    def penalties(self, count: int) -> dict[str, Array]:
        """Every loss of every level, such as ``top_commitment``, whatever the ``count``."""
        return {
            f"{name}_{loss}": values
            for name, level in self.found.items()
            for loss, values in level.losses.items()
        }

    def use(self) -> dict[str, Float[Array, ""]]:
        """The perplexity of each level's codes, to log."""
        return {
            f"{kind}/{name}": value
            for name, level in self.found.items()
            for kind, value in level.use().items()
        }


class VQAutoencoder2(nn.Module):
    """Images to two grids of codes and back (Razavi et al. 2019, 1906.00446, section 3.1, fig. 2a).

    The top level has a code for 8x8 pixels. What it makes goes with the finer features into the
    bottom level, with a code for 4x4, which so need not tell what the top has told already.

    Attributes:
      quantiser: of vectors with ``size`` numbers; each level has one of its own.
      size: channels that are quantised.
      channels: channels of the image.
      width: channels within.
      blocks: residual blocks of each encoder and decoder.
      inner: channels within residual blocks.
    """

    quantiser: Any
    size: int = 64
    channels: int = 3
    width: int = 128
    blocks: int = 2
    inner: int = 32

    def setup(self):
        """An encoder, a decoder and a quantiser for each level."""
        shape = {"width": self.width, "blocks": self.blocks, "inner": self.inner}
        self.encode_bottom = Down(halvings=2, **shape)
        self.encode_top = Down(halvings=1, **shape)
        self.project_top = nn.Conv(self.size, (1, 1))
        self.top = self.quantiser.copy()
        self.decode_top = Up(halvings=1, features=self.size, **shape)
        self.project_bottom = nn.Conv(self.size, (1, 1))
        self.bottom = self.quantiser.copy()
        self.spread_top = _up(self.size)
        self.decoder = Up(halvings=2, features=self.channels, **shape)

    def grids(self, raw_shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
        """The grids of codes of an image ``(H, W, channels)``, by level."""
        name = type(self).__name__
        image_grid(raw_shape, _STRIDES[TOP], name)
        return {level: image_grid(raw_shape, stride, name) for level, stride in _STRIDES.items()}

    def encode(self, images: Float[Array, "B H W C"], *, train: bool = False) -> Levels:
        """The codes of images in [-1, 1]; ``train`` lets the quantisers learn."""
        self.grids(images.shape[1:])
        fine = self.encode_bottom(images)
        top = self.top(self.project_top(self.encode_top(fine)), train=train)
        both = jnp.concatenate([self.decode_top(top.values), fine], axis=-1)
        return Levels({TOP: top, BOTTOM: self.bottom(self.project_bottom(both), train=train)})

    def decode(self, codes: Mapping[str, Array]) -> Float[Array, "B H W C"]:
        """Images, about in [-1, 1] and not clipped, from each level's codes or vectors."""
        top, bottom = vectors(self.top, codes[TOP]), vectors(self.bottom, codes[BOTTOM])
        return self.decoder(jnp.concatenate([self.spread_top(top), bottom], axis=-1))

    def __call__(
        self, images: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """The reconstruction."""
        return self.decode(self.encode(images, train=train).values)


class Half(nn.Module):
    """What a way down and a way up agree on.

    Attributes:
      width: channels; half as many at the higher resolution.
      blocks: residual blocks at the lower resolution.
      inner: channels within them.
      halvings: how often the resolution changes, once or twice.
    """

    width: int
    blocks: int
    inner: int
    halvings: int


class Down(Half):
    """Strided convolutions, then residual blocks."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Features at the lower resolution, not below zero."""
        widths = (self.width // 2, *(self.width,) * (self.halvings - 1))
        for level, width in enumerate(widths):
            x = nn.relu(nn.Conv(width, (4, 4), 2, name=f"down_{level}")(x))
        x = nn.Conv(self.width, (3, 3), name="conv_in")(x)
        return _blocks(x, self)


class Up(Half):
    """Residual blocks, then transposed convolutions.

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B H W D"]:
        """Values at the higher resolution."""
        x = _blocks(nn.Conv(self.width, (3, 3), name="conv_in")(x), self)
        for level in range(self.halvings - 1):
            x = nn.relu(_up(self.width // 2, name=f"up_{level}")(x))
        return _up(self.features, name="conv_out")(x)


def _blocks(x: Float[Array, "B h w C"], half: Half) -> Float[Array, "B h w C"]:
    """Residual blocks of a 3x3 and a 1x1 convolution, and a ReLU after all."""
    for block in range(half.blocks):
        y = nn.Conv(half.inner, (3, 3), name=f"block_{block}_conv_0")(nn.relu(x))
        x += nn.Conv(half.width, (1, 1), name=f"block_{block}_conv_1")(nn.relu(y))
    return nn.relu(x)


def _up(features: int, name: str | None = None) -> nn.ConvTranspose:
    """Twice the resolution."""
    return nn.ConvTranspose(features, (4, 4), (2, 2), name=name)
