"""The Descript audio codec: sound to a few rows of codes per step."""

import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.audio.dilated import Decoder, Encoder, sound_grid, to_length
from mmjax.codecs.quantisers.base import Quantised
from mmjax.codecs.quantisers.factorised import Factorised
from mmjax.codecs.quantisers.residual import Residual
from mmjax.typing import Array, Float, Int


class Dac(nn.Module):
    """The waveform codec of Kumar et al. 2023 (2306.06546), section 3.

    The defaults are those at 44.1 kHz: 86 steps of 9 codes a second, 76,620,777 parameters in
    transformers' layout, which holds normalised kernels multiplied out.

    Attributes:
      channels: channels of the sound.
      encoder_widths: channels before, between and after the encoder's strided convolutions.
      decoder_widths: channels after, between and before the decoder's transposed convolutions.
      ratios: strides, highest rate first.
      levels: codes per step.
      vocabulary: entries of each codebook.
      size: length of an entry.
      dropout: the probability with which an example loses levels in training (ibid., section 3.3).
    """

    channels: int = 1
    encoder_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    decoder_widths: tuple[int, ...] = (96, 192, 384, 768, 1536)
    ratios: tuple[int, ...] = (2, 4, 8, 8)
    levels: int = 9
    vocabulary: int = 1024
    size: int = 8
    dropout: float = 0.5

    def setup(self):
        """The two halves and what stands between them."""
        shape = {"ratios": self.ratios, "logarithmic": False, "normalised": False}
        features = self.encoder_widths[-1]
        self.encoder = Encoder(self.encoder_widths, features=features, **shape)
        self.decoder = Decoder(self.decoder_widths, features=self.channels, bias=True, **shape)
        level = Factorised(self.vocabulary, self.size, features, unit=False)
        self.quantiser = Residual(level, self.levels, self.dropout, chained=True)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of steps of a waveform ``(samples, channels)``."""
        return sound_grid(raw_shape, math.prod(self.ratios), "Dac")

    def encode(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Quantised:
        """Codes ``[B, N, Q]`` of waveforms in [-1, 1]; ``train`` drops levels."""
        self.grid(sound.shape[1:])
        return self.quantiser(self.encoder(sound), train=train)

    def decode(self, codes: Int[Array, "B N Q"] | Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """Waveforms in [-1, 1], from codes (of the first levels, if not all) or from vectors."""
        if jnp.issubdtype(codes.dtype, jnp.integer):
            codes = self.quantiser.lookup(codes)
        return jnp.tanh(self.decoder(codes))

    def __call__(self, sound: Float[Array, "B L C"], *, train: bool = False):
        """The reconstruction, as long as the input."""
        return to_length(self.decode(self.encode(sound, train=train).values), sound.shape[1])
