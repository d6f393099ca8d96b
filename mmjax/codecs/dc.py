"""The deep compression autoencoder: 32 pixels a side and more to one latent (DC-AE).

Chen et al., "Deep Compression Autoencoder for Efficient High-Resolution Diffusion Models"
(2410.10733), sections 3.2 and 4.1.
"""

import flax.linen as nn

from mmjax.codecs.posterior import Deterministic
from mmjax.codecs.pyramid import image_grid
from mmjax.layers.conv import repeat_pixels
from mmjax.layers.efficient_vit import EfficientViTBlock, ShiftedRMS
from mmjax.layers.spacetime import average_down, depth_to_space, repeat_up, space_to_depth
from mmjax.typing import Array, Float

_CELL = (1, 2, 2)  # an image is a clip of one frame


class AutoencoderDC(nn.Module):
    """Images to a small grid of wide latents, with shortcuts that move pixels into channels.

    The defaults are those that SANA uses (f32, 32 channels): 312,250,275 parameters.

    Attributes:
      channels: channels of the image.
      latents: channels of the latents.
      widths: channels per level, highest resolution first; each level has half the one before.
      encoder_blocks: blocks per level of the encoder. With none in the first level, the image
        enters at the second.
      decoder_blocks: blocks per level of the decoder; where the encoder's first has none, nor has
        the decoder's.
      attention: levels whose blocks are EfficientViT's; others are residual convolutions.
      head: width of a head.
      scales: see :class:`~mmjax.layers.efficient_vit.EfficientViTBlock`.
      shuffled: whether a change of resolution moves pixels into channels and back; if not, it is a
        strided convolution, and repeated pixels with a convolution.
      batch_normed: levels of the decoder whose blocks have batch normalisation and ReLU instead of
        RMS normalisation and SiLU.
    """

    channels: int = 3
    latents: int = 32
    widths: tuple[int, ...] = (128, 256, 512, 512, 1024, 1024)
    encoder_blocks: tuple[int, ...] = (2, 2, 2, 3, 3, 3)
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 3, 3, 3)
    attention: tuple[int, ...] = (3, 4, 5)
    head: int = 32
    scales: tuple[int, ...] = (5,)
    shuffled: bool = False
    batch_normed: tuple[int, ...] = ()

    def setup(self):
        """The two halves."""
        shape = {"widths": self.widths, "attention": self.attention, "head": self.head}
        shape |= {"scales": self.scales, "shuffled": self.shuffled}
        self.encoder = Encoder(blocks=self.encoder_blocks, features=self.latents, **shape)
        self.decoder = Decoder(
            blocks=self.decoder_blocks,
            features=self.channels,
            batch_normed=self.batch_normed,
            **shape,
        )

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The latent grid of an image ``(H, W, channels)``."""
        return image_grid(raw_shape, 2 ** (len(self.widths) - 1), "AutoencoderDC")

    def encode(self, images: Float[Array, "B H W C"], *, train: bool = False) -> Deterministic:
        """The latents of images in [-1, 1]; ``train`` changes nothing."""
        self.grid(images.shape[1:])
        return Deterministic(self.encoder(images))

    def decode(
        self, latents: Float[Array, "B h w Z"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Images, about in [-1, 1] and not clipped; ``train``: see :class:`ResidualConv`."""
        return self.decoder(latents, train=train)

    def __call__(
        self, images: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """The reconstruction."""
        return self.decode(self.encode(images).mean, train=train)


class Half(nn.Module):
    """What an encoder and a decoder have; attributes as in :class:`AutoencoderDC`."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    features: int
    attention: tuple[int, ...]
    head: int
    scales: tuple[int, ...]
    shuffled: bool

    @property
    def levels(self) -> range:
        """Those that have blocks, highest resolution first."""
        return range(int(self.blocks[0] == 0), len(self.widths))

    def block(self, level: int, number: int, batch_norm: bool = False) -> nn.Module:
        """One block of a level."""
        name = f"level_{level}_block_{number}"
        if level in self.attention:
            return EfficientViTBlock(self.head, self.scales, name=name)
        return ResidualConv(batch_norm, name=name)


class Encoder(Half):
    """Images to latents."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w Z"]:
        """Halves the resolution from level to level."""
        first, width = self.levels[0], self.widths[self.levels[0]]
        if first:
            x = Down(width, self.shuffled, shortcut=False, name="conv_in")(x)
        else:
            x = nn.Conv(width, (3, 3), name="conv_in")(x)
        for level in self.levels:
            for number in range(self.blocks[level]):
                x = self.block(level, number)(x)
            if level < len(self.widths) - 1:
                x = Down(self.widths[level + 1], self.shuffled, name=f"level_{level}_down")(x)
        averaged = average_down(x[:, None], (1, 1, 1), self.features)[:, 0]
        return nn.Conv(self.features, (3, 3), name="conv_out")(x) + averaged


class Decoder(Half):
    """Latents to images."""

    batch_normed: tuple[int, ...] = ()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w Z"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Doubles the resolution from level to level."""
        repeated = repeat_up(x[:, None], (1, 1, 1), self.widths[-1])[:, 0]
        x = nn.Conv(self.widths[-1], (3, 3), name="conv_in")(x) + repeated
        for level in reversed(self.levels):
            if level < len(self.widths) - 1:
                x = Up(self.widths[level], self.shuffled, name=f"level_{level}_up")(x)
            for number in range(self.blocks[level]):
                block = self.block(level, number, level in self.batch_normed)
                x = block(x, train=train) if isinstance(block, ResidualConv) else block(x)
        x = nn.relu(ShiftedRMS(name="norm_out")(x))
        if self.levels[0]:
            return Up(self.features, self.shuffled, shortcut=False, name="conv_out")(x)
        return nn.Conv(self.features, (3, 3), name="conv_out")(x)


class ResidualConv(nn.Module):
    """Two 3x3 convolutions, normalised at the end, beside a shortcut.

    Attributes:
      batch_norm: whether the normalisation is over the batch and the activation ReLU, rather than
        RMS over channels and SiLU. The running moments are in ``batch_stats``; ``train`` uses and
        records those of the batch.
    """

    batch_norm: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Applies the block at an unchanged resolution."""
        channels = x.shape[-1]
        y = nn.Conv(channels, (3, 3), name="conv_1")(x)
        y = nn.Conv(channels, (3, 3), use_bias=False, name="conv_2")(
            nn.relu(y) if self.batch_norm else nn.silu(y)
        )
        if self.batch_norm:
            norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")
            return x + norm(y)
        return x + ShiftedRMS(name="norm")(y)


class Down(nn.Module):
    """Halves the resolution, beside the average of pixels moved into channels (eq. 1, figure 4).

    Attributes:
      features: output channels.
      shuffled: see :class:`AutoencoderDC`.
      shortcut: whether there is the average.
    """

    features: int
    shuffled: bool
    shortcut: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """``[B, H, W, C]`` to ``[B, H / 2, W / 2, features]``."""
        if self.shuffled:
            y = nn.Conv(self.features // 4, (3, 3), name="conv")(x)
            y = space_to_depth(y[:, None], _CELL)[:, 0]
        else:
            y = nn.Conv(self.features, (3, 3), 2, padding=1, name="conv")(x)
        return y + average_down(x[:, None], _CELL, self.features)[:, 0] if self.shortcut else y


class Up(nn.Module):
    """Doubles the resolution, beside channels repeated and moved into pixels; as :class:`Down`."""

    features: int
    shuffled: bool
    shortcut: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B H W D"]:
        """``[B, h, w, C]`` to ``[B, 2 h, 2 w, features]``."""
        if self.shuffled:
            y = nn.Conv(4 * self.features, (3, 3), name="conv")(x)
            y = depth_to_space(y[:, None], _CELL)[:, 0]
        else:
            y = nn.Conv(self.features, (3, 3), name="conv")(repeat_pixels(x))
        return y + repeat_up(x[:, None], _CELL, self.features)[:, 0] if self.shortcut else y
