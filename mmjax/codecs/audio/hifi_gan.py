"""The HiFi-GAN vocoder: log mel spectrograms to sound."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.audio.upsampler import Upsampler
from mmjax.typing import Array, Float


class HifiGan(nn.Module):
    """The generator of HiFi-GAN (Kong et al. 2020, 2010.05646).

    The defaults are SpeechT5's: 12,656,257 parameters, 256 samples at 16 kHz per frame of 80 bins.
    LTX-2's, 55,592,802 parameters, makes stereo of both channels' spectrograms at once.

    Attributes:
      bins: of the spectrogram.
      channels: of the spectrogram and of the sound.
      widths: channels before and after each transposed convolution.
      rates: their strides.
      kernels: their taps.
      block_kernels: taps of the residual blocks after each.
      dilations: of each such block.
      slope: of the leaky rectifiers.
      standardised: whether each bin is first brought to mean 0 and deviation 1 by the collection
        ``constants``, which holds ``mean`` and ``deviation``.
    """

    bins: int = 80
    channels: int = 1
    widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    rates: tuple[int, ...] = (4, 4, 4, 4)
    kernels: tuple[int, ...] = (8, 8, 8, 8)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    slope: float = 0.1
    standardised: bool = True

    def setup(self):
        """The upsampling network and the moments of the bins."""
        self.upsampler = upsampler(self)
        if self.standardised:
            shape = (self.channels * self.bins,)
            self.mean = self.variable("constants", "mean", jnp.zeros, shape)
            self.deviation = self.variable("constants", "deviation", jnp.ones, shape)

    def decode(self, mel: Float[Array, "B T F C"]) -> Float[Array, "B L C"]:
        """Waveforms in [-1, 1] of log mel spectrograms."""
        x = mel.swapaxes(2, 3).reshape(*mel.shape[:2], -1)
        if self.standardised:
            x = (x - self.mean.value) / self.deviation.value
        return jnp.tanh(self.upsampler(x))

    def __call__(self, mel: Float[Array, "B T F C"]) -> Float[Array, "B L C"]:
        """The same as :meth:`decode`."""
        return self.decode(mel)


def upsampler(codec: HifiGan) -> Upsampler:
    """The upsampling network of a vocoder."""
    return Upsampler(
        codec.widths, codec.rates, codec.kernels, codec.block_kernels, codec.dilations,
        features=codec.channels, slope=codec.slope, bias=True,
    )  # fmt: skip
