"""The waveform autoencoder of Stable Audio: sound to a slow sequence of continuous latents."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.audio.dilated import Decoder, Encoder, sound_grid, to_length
from mmjax.codecs.posterior import DiagonalNormal
from mmjax.typing import Array, Float


class Oobleck(nn.Module):
    """The variational waveform autoencoder of Stable Audio (Evans et al. 2024, 2407.14358).

    The defaults are Stable Audio Open's: 156,112,514 parameters, 44.1 kHz stereo at 21.5 latents of
    64 channels a second.

    Attributes:
      channels: channels of the sound.
      encoder_widths: channels before, between and after the encoder's strided convolutions.
      decoder_widths: channels after, between and before the decoder's transposed convolutions.
      ratios: strides, highest rate first.
      latents: channels of the latents.
    """

    channels: int = 2
    encoder_widths: tuple[int, ...] = (128, 128, 256, 512, 1024, 2048)
    decoder_widths: tuple[int, ...] = (128, 128, 256, 512, 1024, 2048)
    ratios: tuple[int, ...] = (2, 4, 4, 8, 8)
    latents: int = 64

    def setup(self):
        """The two halves."""
        shape = {"ratios": self.ratios, "logarithmic": True, "normalised": True}
        self.encoder = Encoder(self.encoder_widths, features=2 * self.latents, **shape)
        self.decoder = Decoder(self.decoder_widths, features=self.channels, bias=False, **shape)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of latents of a waveform ``(samples, channels)``."""
        return sound_grid(raw_shape, math.prod(self.ratios), "Oobleck")

    def encode(self, sound: Float[Array, "B L C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of waveforms in [-1, 1]; ``train`` changes nothing."""
        self.grid(sound.shape[1:])
        mean, spread = jnp.split(self.encoder(sound), 2, axis=-1)
        return DiagonalNormal(mean, 2 * jnp.log(jax.nn.softplus(spread) + 1e-4))

    def decode(self, latents: Float[Array, "B N Z"]) -> Float[Array, "B L C"]:
        """Waveforms, about in [-1, 1] and not clipped."""
        return self.decoder(latents)

    def __call__(self, sound: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """The reconstruction from the posterior's mean, as long as the input."""
        return to_length(self.decode(self.encode(sound).mean), sound.shape[1])
