"""The BigVGAN-v2 vocoder: log mel spectrograms to sound, without aliasing."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.audio.upsampler import Upsampler
from mmjax.typing import Array, Float


class BigVgan(nn.Module):
    """The generator of BigVGAN (Lee et al. 2022, 2206.04658), version 2.

    The defaults are those of MMAudio at 44.1 kHz: 122,152,752 parameters, 512 samples per frame of
    128 bins.

    Attributes:
      bins: of the spectrogram.
      widths: channels before and after each transposed convolution.
      rates: their strides.
      kernels: their taps.
      block_kernels: taps of the residual blocks after each.
      dilations: of each such block.
    """

    bins: int = 128
    widths: tuple[int, ...] = (1536, 768, 384, 192, 96, 48, 24)
    rates: tuple[int, ...] = (8, 4, 2, 2, 2, 2)
    kernels: tuple[int, ...] = (16, 8, 4, 4, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))

    def setup(self):
        """The upsampling network."""
        self.upsampler = upsampler(self)

    def decode(self, mel: Float[Array, "B T F 1"]) -> Float[Array, "B L 1"]:
        """Waveforms in [-1, 1] of log mel spectrograms."""
        return jnp.clip(self.upsampler(mel[..., 0]), -1.0, 1.0)

    def __call__(self, mel: Float[Array, "B T F 1"]) -> Float[Array, "B L 1"]:
        """The same as :meth:`decode`."""
        return self.decode(mel)


def upsampler(codec: BigVgan) -> Upsampler:
    """The upsampling network of a vocoder."""
    return Upsampler(
        codec.widths, codec.rates, codec.kernels, codec.block_kernels, codec.dilations,
        features=1, slope=None, bias=False,
    )  # fmt: skip
