"""The causal video autoencoders of Wan 2.1 and 2.2 (Wan Team 2025, 2503.20314, section 4.1)."""

import functools

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.pyramid import SelfAttention2D
from mmjax.codecs.video.clips import check_clip, clip_grid
from mmjax.layers.causal_conv import CausalConv, CausalResidual, begins, join
from mmjax.layers.conv import Downsample, repeat_pixels
from mmjax.layers.norm import Norm
from mmjax.layers.spacetime import (
    average_down,
    by_frame,
    depth_to_space,
    repeat_up,
    space_to_depth,
)
from mmjax.typing import Array, Float

# Published weights were trained with the norm itself in the divisor, so next to nothing is added.
_norm = functools.partial(Norm, kind="rms", eps=1e-24)
_block = functools.partial(CausalResidual, norm=_norm, conv=CausalConv)


class AutoencoderKLWan(nn.Module):
    """Clips of ``1 + 4k`` frames to ``1 + k`` frames of latents; the first frame stands alone.

    The defaults are Wan 2.1's: 126,892,531 parameters, 4x8x8. Wan 2.2's autoencoder has a ``patch``
    of 2 and averaging shortcuts (``residual``) round each level: 704,688,668 parameters, 4x16x16.

    Attributes:
      channels: channels of the video.
      width: channels of the encoder's first layer.
      decoder_width: channels of the decoder's last layer.
      multipliers: channels per level in widths, highest resolution first.
      blocks: residual blocks per level of the encoder; the decoder has one more.
      latents: channels of the latents.
      temporal: for each level but the last, whether it halves the frames as well.
      patch: side of the squares of pixels that become channels before all else.
      residual: whether each level stands beside a shortcut that averages down and repeats up.
      clipped: whether what is decoded is clipped to [-1, 1] as by the public class. What is clipped
        has no slope: an autoencoder in training that once leaves the range would never return.
    """

    channels: int = 3
    width: int = 96
    decoder_width: int = 96
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    latents: int = 16
    temporal: tuple[bool, ...] = (False, True, True)
    patch: int = 1
    residual: bool = False
    clipped: bool = True

    causal_methods = ("encode", "decode")

    def setup(self):
        """The two halves, and what stands between them."""
        shape = {"multipliers": self.multipliers, "blocks": self.blocks, "temporal": self.temporal}
        shape |= {"residual": self.residual}
        self.encoder = Encoder(width=self.width, features=2 * self.latents, **shape)
        self.decoder = Decoder(
            width=self.decoder_width, features=self.channels * self.patch**2, **shape
        )
        self.moments = nn.Dense(2 * self.latents)
        self.unproject = nn.Dense(self.latents)

    @property
    def strides(self) -> tuple[int, int, int]:
        """Frames, rows and columns per latent."""
        side = self.patch * 2 ** (len(self.multipliers) - 1)
        return 2 ** sum(self.temporal), side, side

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The latent grid of a clip ``(T, H, W, channels)``."""
        return clip_grid(raw_shape, self.strides, "AutoencoderKLWan")

    def encode(self, video: Float[Array, "B T H W C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of a clip in [-1, 1], or of a chunk of one.

        ``train`` changes nothing.
        """
        check_clip(self, video)
        video = space_to_depth(video, (1, self.patch, self.patch), columns_first=True)
        mean, logvar = jnp.split(self.moments(self.encoder(video)), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """A clip in [-1, 1], or near it if it is not clipped."""
        video = self.decoder(self.unproject(latents))
        video = depth_to_space(video, (1, self.patch, self.patch), columns_first=True)
        return jnp.clip(video, -1.0, 1.0) if self.clipped else video

    def __call__(self, video: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(video).mean)


class Half(nn.Module):
    """What an encoder and a decoder have; attributes as in :class:`AutoencoderKLWan`."""

    width: int
    multipliers: tuple[int, ...]
    blocks: int
    features: int
    temporal: tuple[bool, ...]
    residual: bool


class Encoder(Half):
    """Clips to features on the latent grid."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w M"]:
        """Halves rows and columns at each level but the last, and frames where it is told."""
        x = CausalConv(self.width, name="conv_in")(x)
        for level, multiplier in enumerate(self.multipliers):
            entering, factors = x, (1, 1, 1)
            for block in range(self.blocks):
                x = _block(self.width * multiplier, name=f"level_{level}_block_{block}")(x)
            if level < len(self.multipliers) - 1:
                factors = (1 + self.temporal[level], 2, 2)
                x = Down(self.temporal[level], name=f"level_{level}_down")(x)
            if self.residual:
                x = x + average_down(_whole_cells(entering, factors[0]), factors, x.shape[-1])
        x = _middle(x)
        return CausalConv(self.features, name="conv_out")(nn.silu(_norm(name="norm_out")(x)))


class Decoder(Half):
    """Latents to clips; levels are counted as they are computed, from the lowest resolution."""

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """The inverse grid of the encoder's."""
        x = CausalConv(self.width * self.multipliers[-1], name="conv_in")(x)
        x = _middle(x)
        for level, multiplier in enumerate(reversed(self.multipliers)):
            entering, width = x, self.width * multiplier
            for block in range(self.blocks + 1):
                x = _block(width, name=f"level_{level}_block_{block}")(x)
            if level < len(self.multipliers) - 1:
                temporal = self.temporal[-1 - level]
                features = width if self.residual else width // 2
                x = Up(features, temporal, name=f"level_{level}_up")(x)
                if self.residual:
                    skip = repeat_up(entering, (1 + temporal, 2, 2), features)
                    x = x + skip[:, skip.shape[1] - x.shape[1] :]  # the first frame is not doubled
        return CausalConv(self.features, name="conv_out")(nn.silu(_norm(name="norm_out")(x)))


class Down(nn.Module):
    """Halves rows and columns, and with ``temporal`` the frames after the first."""

    temporal: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w C"]:
        """``1 + 2k`` frames to ``1 + k``; later chunks ``2k`` to ``k``."""
        x = by_frame(Downsample(name="space"), x)
        return Halve(name="time")(x) if self.temporal else x


class Halve(nn.Module):
    """The first frame as it is, then a convolution over each frame pair and the frame before."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t H W C"]:
        """``1 + 2k`` frames to ``1 + k``; later chunks ``2k`` to ``k``."""
        frames = join(self, x, x[:, :0], 1)
        conv = nn.Conv(x.shape[-1], (3, 1, 1), strides=(2, 1, 1), padding="VALID", name="conv")
        halved = conv(frames)
        # A clip has one frame more than its pairs; a later chunk has not.
        return jnp.concatenate([x[:, : x.shape[1] % 2], halved], axis=1)


class Up(nn.Module):
    """Doubles rows and columns, and with ``temporal`` the frames after the first."""

    features: int
    temporal: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w D"]:
        """``1 + k`` frames to ``1 + 2k``; later chunks ``k`` to ``2k``."""
        if self.temporal:
            x = Double(name="time")(x)
        return by_frame(nn.Conv(self.features, (3, 3), name="space"), by_frame(repeat_pixels, x))


class Double(nn.Module):
    """The first frame as it is; of the others, which do not see it, two from each."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t H W C"]:
        """``1 + k`` frames to ``1 + 2k``; later chunks ``k`` to ``2k``."""
        first = int(begins(self))
        pairs = CausalConv(2 * x.shape[-1], (3, 1, 1), name="conv")(x[:, first:])
        batch, frames, *sides, _ = pairs.shape
        pairs = pairs.reshape(batch, frames, *sides, 2, x.shape[-1]).transpose(0, 1, 4, 2, 3, 5)
        pairs = pairs.reshape(batch, 2 * frames, *sides, x.shape[-1])
        return jnp.concatenate([x[:, :first], pairs], axis=1)


def _middle(x: Float[Array, "B t h w C"]) -> Float[Array, "B t h w C"]:
    """The lowest resolution: attention in each frame between two residual blocks."""
    x = _block(x.shape[-1], name="middle_block_0")(x)
    x = by_frame(SelfAttention2D(_norm, joined=True, name="middle_attention"), x)
    return _block(x.shape[-1], name="middle_block_1")(x)


def _whole_cells(x: Float[Array, "B T H W C"], factor: int) -> Float[Array, "B U H W C"]:
    """Frames that ``factor`` divides: black ones stand before a clip's first."""
    return jnp.pad(x, ((0, 0), (-x.shape[1] % factor, 0), (0, 0), (0, 0), (0, 0)))
