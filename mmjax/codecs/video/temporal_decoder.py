"""The image autoencoder of latent diffusion whose decoder sees all frames of a clip.

Blattmann et al., "Align Your Latents" (2304.08818), section 3.1.1; the layout is that of Stable
Video Diffusion (2311.15127).
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.pyramid import Encoder, SelfAttention2D, image_grid
from mmjax.layers.conv import ResidualBlock, Upsample, group_norm
from mmjax.layers.spacetime import by_frame
from mmjax.typing import Array, Float


class AutoencoderKLTemporalDecoder(nn.Module):
    """Each frame is encoded as an image; frames are decoded together, which takes flicker away.

    The defaults are Stable Video Diffusion's: 97,742,847 parameters, 1x8x8. The encoder takes
    chunks of any length; the decoder normalises over all frames, so it takes whole clips.

    Attributes:
      channels: channels of the video.
      widths: channels per resolution, highest resolution first; multiples of ``groups``.
      blocks: residual blocks per resolution of the encoder; the decoder has one more.
      latents: channels of the latents.
      groups: groups of every normalisation.
    """

    channels: int = 3
    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    latents: int = 4
    groups: int = 32

    causal_methods = ("encode",)

    def setup(self):
        """The two halves, and what stands between them."""
        self.encoder = Encoder(self.widths, self.blocks, 2 * self.latents, self.groups)
        self.decoder = TemporalDecoder(self.widths, self.blocks, self.channels, self.groups)
        self.moments = nn.Dense(2 * self.latents)

    @property
    def strides(self) -> tuple[int, int, int]:
        """Frames, rows and columns per latent."""
        side = 2 ** (len(self.widths) - 1)
        return 1, side, side

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The latent grid of a clip ``(T, H, W, channels)``; any ``T`` will do."""
        side = self.strides[1]
        return raw_shape[0], *image_grid(raw_shape[1:], side, "AutoencoderKLTemporalDecoder")

    def encode(self, video: Float[Array, "B T H W C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of a clip in [-1, 1]; ``train`` changes nothing."""
        self.grid(video.shape[1:])
        mean, logvar = jnp.split(self.moments(by_frame(self.encoder, video)), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """A clip, about in [-1, 1] and not clipped."""
        return self.decoder(latents)

    def __call__(self, video: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(video).mean)


class TemporalDecoder(nn.Module):
    """Latents to clips; levels are counted as they are computed, from the lowest resolution.

    Attributes:
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder.
      features: output channels.
      groups: groups of every normalisation.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int
    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """Doubles rows and columns ``len(widths) - 1`` times."""
        norm = functools.partial(group_norm, self.groups)
        x = by_frame(nn.Conv(self.widths[-1], (3, 3), name="conv_in"), x)
        x = VideoBlock(self.widths[-1], self.groups, name="middle_block_0")(x)
        x = by_frame(SelfAttention2D(norm, name="middle_attention"), x)
        x = VideoBlock(self.widths[-1], self.groups, name="middle_block_1")(x)
        for level, width in enumerate(reversed(self.widths)):
            for block in range(self.blocks + 1):
                x = VideoBlock(width, self.groups, name=f"level_{level}_block_{block}")(x)
            if level < len(self.widths) - 1:
                x = by_frame(Upsample(name=f"level_{level}_up"), x)
        x = nn.silu(by_frame(group_norm(self.groups, "norm_out"), x))
        x = by_frame(nn.Conv(self.features, (3, 3), name="conv_out"), x)
        return nn.Conv(self.features, (3, 1, 1), name="time_out")(x)


class VideoBlock(nn.Module):
    """A residual block in each frame, then one along time, blended by a learned share (eq. 2).

    Attributes:
      features: output channels.
      groups: groups of every normalisation.
    """

    features: int
    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W D"]:
        """Applies the block on an unchanged grid."""
        x = by_frame(ResidualBlock(self.features, self.groups, name="space"), x)
        share = jax.nn.sigmoid(self.param("mix", nn.initializers.zeros, (1,)))
        hidden = x
        for part in (1, 2):
            norm = nn.GroupNorm(
                self.groups, epsilon=1e-5, use_fast_variance=False, name=f"time_norm_{part}"
            )
            conv = nn.Conv(self.features, (3, 1, 1), name=f"time_conv_{part}")
            hidden = conv(nn.silu(norm(hidden)))
        return x + share.astype(x.dtype) * hidden
