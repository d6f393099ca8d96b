"""The causal spectrogram autoencoder of LTX-2 (HaCohen et al. 2026, 2601.03233)."""

import functools

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.video.clips import check_clip
from mmjax.errors import UserError
from mmjax.layers.causal_conv import CausalConv, CausalResidual, begins, join
from mmjax.layers.conv import repeat_pixels
from mmjax.layers.norm import Norm
from mmjax.typing import Array, Float

_norm = functools.partial(Norm, kind="rms", affine=False)
_conv = functools.partial(CausalConv, window=(3, 3))
_block = functools.partial(CausalResidual, norm=_norm, conv=_conv)
_LEVELS = 3


class AutoencoderKLLTX2Audio(nn.Module):
    """Log mel spectrograms of ``1 + 4k`` frames to ``1 + k`` steps of latents, and back.

    The defaults are the published ones: 53,248,146 parameters, stereo of 64 bins to 16 x 8 numbers
    a step; the first frame stands alone.

    Attributes:
      channels: channels of the sound.
      bins: of the spectrogram.
      width: channels of the highest resolution.
      multipliers: channels per level in widths, highest resolution first.
      blocks: residual blocks per level of the encoder; the decoder has one more.
      latents: channels of the latents.
    """

    channels: int = 2
    bins: int = 64
    width: int = 128
    multipliers: tuple[int, int, int] = (1, 2, 4)
    blocks: int = 2
    latents: int = 8

    causal_methods = ("encode", "decode")
    strides = (2 ** (_LEVELS - 1),) * 2

    def setup(self):
        """The two halves."""
        widths = tuple(self.width * multiplier for multiplier in self.multipliers)
        self.encoder = Encoder(widths, self.blocks, 2 * self.latents)
        self.decoder = Decoder(widths, self.blocks, self.channels)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The latent grid of a spectrogram ``(frames, bins, channels)``."""
        (frames, bins), (time, band) = raw_shape[:2], self.strides
        if frames < 1 or (frames - 1) % time or bins % band:
            raise UserError(
                f"spectrogram of {frames} frames of {bins} bins: AutoencoderKLLTX2Audio takes "
                f"{time}k + 1 frames and bins that are multiples of {band}"
            )
        return 1 + (frames - 1) // time, bins // band

    def encode(self, mel: Float[Array, "B T F C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of log mel spectrograms, or of a chunk of them.

        ``train`` changes nothing.
        """
        check_clip(self, mel)
        mean, logvar = jnp.split(self.encoder(mel), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B t f Z"]) -> Float[Array, "B T F C"]:
        """Log mel spectrograms, for a vocoder."""
        return self.decoder(latents)

    def __call__(self, mel: Float[Array, "B T F C"]) -> Float[Array, "B T F C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(mel).mean)


class Half(nn.Module):
    """What an encoder and a decoder have.

    Attributes:
      widths: channels per level, highest resolution first.
      blocks: residual blocks per level of the encoder; the decoder has one more.
      features: output channels.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int


class Encoder(Half):
    """Spectrograms to features on the latent grid."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T F C"]) -> Float[Array, "B t f M"]:
        """Halves frames and bins at each level but the last."""
        x = _conv(self.widths[0], name="conv_in")(x)
        for level, width in enumerate(self.widths):
            for block in range(self.blocks):
                x = _block(width, name=f"level_{level}_block_{block}")(x)
            if level < len(self.widths) - 1:
                x = Down(name=f"level_{level}_down")(x)
        x = nn.silu(_norm(name="norm_out")(_middle(x)))
        return _conv(self.features, name="conv_out")(x)


class Decoder(Half):
    """Latents to spectrograms."""

    @nn.compact
    def __call__(self, x: Float[Array, "B t f Z"]) -> Float[Array, "B T F C"]:
        """The inverse grid of the encoder's."""
        x = _middle(_conv(self.widths[-1], name="conv_in")(x))
        for level in reversed(range(len(self.widths))):
            for block in range(self.blocks + 1):
                x = _block(self.widths[level], name=f"level_{level}_block_{block}")(x)
            if level:
                x = Up(name=f"level_{level}_up")(x)
        return _conv(self.features, name="conv_out")(nn.silu(_norm(name="norm_out")(x)))


class Down(nn.Module):
    """Halves bins, and frames after the first, by a convolution."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T F C"]) -> Float[Array, "B t f C"]:
        """``1 + 2k`` frames to ``1 + k``; later chunks ``2k`` to ``k``."""
        x = join(self, x, jnp.zeros_like(x[:, :1]).repeat(2, axis=1), 1)
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))
        return nn.Conv(x.shape[-1], (3, 3), strides=2, padding="VALID", name="conv")(x)


class Up(nn.Module):
    """Doubles bins, and frames after the first."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T F C"]) -> Float[Array, "B t f C"]:
        """``1 + k`` frames to ``1 + 2k``; later chunks ``k`` to ``2k``."""
        first = int(begins(self))
        return _conv(x.shape[-1], name="conv")(repeat_pixels(x))[:, first:]


def _middle(x: Float[Array, "B t f C"]) -> Float[Array, "B t f C"]:
    """Two residual blocks at the lowest resolution."""
    for block in range(2):
        x = _block(x.shape[-1], name=f"middle_block_{block}")(x)
    return x
