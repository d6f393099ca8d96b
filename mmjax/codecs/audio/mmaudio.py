"""The spectrogram autoencoder of MMAudio: sound to latents, and these to log mels.

Every layer keeps the magnitude of its input (Karras et al. 2023, 2312.02696, section 2.3), in one
dimension over time with the mel bins as channels (Cheng et al. 2024, 2412.15322, section 3.2).
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.audio.dilated import sound_grid
from mmjax.codecs.audio.mel import hann, log_mel, mel_filters
from mmjax.codecs.posterior import DiagonalNormal
from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.conv1d import Conv1d, same
from mmjax.typing import Array, Float

_CLIP = 256.0
_BRANCH = 0.3  # share of a branch beside its shortcut (ibid., eq. 88)


class MagnitudeBlock(nn.Module):
    """Two convolutions of unit gain beside a shortcut (ibid., figure 21).

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T D"]:
        """The block at an unchanged rate."""
        x = unit(x)
        y = _conv(self.features, 3, "conv_1")(unit_silu(x))
        y = _conv(self.features, 3, "conv_2")(unit_silu(y))
        if x.shape[-1] != self.features:
            x = _conv(self.features, 1, "shortcut")(x)
        return unit_sum(x, y)


class MagnitudeAttention(nn.Module):
    """One head of attention among all steps, beside a shortcut; queries and all else normalised."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
        """Attends over the steps."""
        width = x.shape[-1]
        parts = _conv(3 * width, 1, "query_key_value")(x).reshape(*x.shape, 3)
        query, key, value = (unit(parts[..., index])[:, :, None] for index in range(3))
        return unit_sum(x, _conv(width, 1, "out")(attention(query, key, value)[:, :, 0]))


class Encoder(nn.Module):
    """Standardised spectrograms to moments, at half the rate.

    Attributes:
      widths: channels per level; the rate is halved after the first.
      blocks: per level.
      features: output channels.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B T F"]) -> Float[Array, "B t M"]:
        """``t = T / 2``."""
        x = _conv(self.widths[0], 3, "conv_in")(x)
        for level, width in enumerate(self.widths):
            for block in range(self.blocks):
                x = _clip(MagnitudeBlock(width, name=f"level_{level}_block_{block}")(x))
            if level == 0:
                x = _conv(width, 1, "down_1")(x)
                x = x.reshape(x.shape[0], -1, 2, width).mean(axis=2)
                x = _conv(width, 1, "down_2")(x)
        return _output(_middle(x), self)


class Decoder(nn.Module):
    """Latents to standardised spectrograms, at twice the rate.

    Attributes:
      widths: channels per level; the rate is doubled after the second.
      blocks: per level of the encoder; the decoder has one more.
      features: output channels.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B t Z"]) -> Float[Array, "B T F"]:
        """``T = 2 t``."""
        x = _middle(_conv(self.widths[-1], 3, "conv_in")(x))
        for level in reversed(range(len(self.widths))):
            for block in range(self.blocks + 1):
                name = f"level_{level}_block_{block}"
                x = _clip(MagnitudeBlock(self.widths[level], name=name)(x))
            if level == 1:
                x = _conv(self.widths[level], 3, "up")(jnp.repeat(x, 2, axis=1))
        return _output(x, self)


class MagnitudeAutoencoder(nn.Module):
    """Log mel spectrograms to latents at half their rate, and back.

    The defaults are MMAudio's at 44.1 kHz: 305,479,682 parameters, 40 channels of latents. The
    collection ``constants`` holds each bin's ``mean`` and ``deviation``.

    Attributes:
      bins: of the spectrogram.
      widths: channels per level.
      blocks: per level.
      latents: channels of the latents.
    """

    bins: int = 128
    widths: tuple[int, ...] = (512, 1024, 2048)
    blocks: int = 2
    latents: int = 40

    def setup(self):
        """The two halves and the moments of the bins."""
        self.encoder = Encoder(self.widths, self.blocks, 2 * self.latents)
        self.decoder = Decoder(self.widths, self.blocks, self.bins)
        self.mean = self.variable("constants", "mean", jnp.zeros, (self.bins,))
        self.deviation = self.variable("constants", "deviation", jnp.ones, (self.bins,))

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of latents of a spectrogram ``(frames, bins, 1)``."""
        if raw_shape[0] % 2 or not raw_shape[0]:
            raise UserError(
                f"spectrogram of {raw_shape[0]} frames: {type(self).__name__} takes multiples of 2"
            )
        return (raw_shape[0] // 2,)

    def encode(self, mel: Float[Array, "B T F 1"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of log mel spectrograms; ``train`` changes nothing."""
        self.grid(mel.shape[1:])
        return self.moments(mel)

    def moments(self, mel: Float[Array, "B T F 1"]) -> DiagonalNormal:
        """The posterior of spectrograms of whole latents."""
        standard = (mel[..., 0] - self.mean.value) / self.deviation.value
        mean, logvar = jnp.split(self.encoder(standard), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B N Z"]) -> Float[Array, "B T F 1"]:
        """Log mel spectrograms, two frames per latent, for a vocoder."""
        mel = self.decoder(latents) * self.deviation.value + self.mean.value
        return mel[..., None]

    def __call__(self, mel: Float[Array, "B T F 1"]) -> Float[Array, "B T F 1"]:
        """The spectrogram as it comes back through the posterior's mean."""
        return self.decode(self.encode(mel).mean)


class MMAudio(MagnitudeAutoencoder):
    """The same from waveforms, whose spectrogram is part of it, as public weights are laid out.

    The defaults are those at 44.1 kHz: 43 latents a second. The collection ``constants`` also holds
    the mel filters and the window.

    Attributes:
      rate: samples per second.
      window: samples per frame of the spectrogram.
      hop: samples from one frame to the next.
    """

    rate: int = 44_100
    window: int = 2048
    hop: int = 512

    def setup(self):
        """The autoencoder and the constants of the spectrogram."""
        super().setup()
        self.filters = self.variable(
            "constants", "filters", mel_filters, self.rate, self.window, self.bins
        )
        self.weighting = self.variable("constants", "window", hann, self.window)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of latents of a waveform ``(samples, 1)``."""
        return sound_grid(raw_shape, 2 * self.hop, "MMAudio")

    def spectrogram(self, sound: Float[Array, "B L 1"]) -> Float[Array, "B T F 1"]:
        """The log mel spectrogram that the decoder gives back."""
        filters, window = jnp.asarray(self.filters.value), jnp.asarray(self.weighting.value)
        return log_mel(jnp.clip(sound[..., 0], -1, 1), filters, window, self.hop)[..., None]

    def encode(self, sound: Float[Array, "B L 1"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of waveforms in [-1, 1]; ``train`` changes nothing."""
        self.grid(sound.shape[1:])
        return self.moments(self.spectrogram(sound))

    def __call__(self, sound: Float[Array, "B L 1"]) -> Float[Array, "B T F 1"]:
        """The spectrogram as it comes back through the posterior's mean."""
        return self.decode(self.encode(sound).mean)


def unit(x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
    """``x`` over its root mean square on the last axis (ibid., eq. 71)."""
    return x / (1e-4 + jnp.sqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True)))


def unit_silu(x: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
    """SiLU that keeps the magnitude of normal inputs (ibid., eq. 81)."""
    return nn.silu(x) / 0.596


def unit_sum(x: Float[Array, "B T C"], branch: Float[Array, "B T C"]) -> Float[Array, "B T C"]:
    """A weighted sum that keeps the magnitude of independent inputs (ibid., eq. 88)."""
    return ((1 - _BRANCH) * x + _BRANCH * branch) / ((1 - _BRANCH) ** 2 + _BRANCH**2) ** 0.5


def _middle(x: Array) -> Array:
    x = MagnitudeBlock(x.shape[-1], name="middle_block_0")(x)
    x = MagnitudeAttention(name="middle_attention")(x)
    return _clip(MagnitudeBlock(x.shape[-1], name="middle_block_1")(x))


def _output(x: Array, half: Encoder | Decoder) -> Array:
    gain = half.param("gain", nn.initializers.zeros, ()) + 1
    return gain * _conv(half.features, 3, "conv_out")(unit_silu(x))


def _clip(x: Array) -> Array:
    return jnp.clip(x, -_CLIP, _CLIP)


def _conv(features: int, kernel: int, name: str) -> Conv1d:
    return Conv1d(features, kernel, padding=same(kernel), bias=False, name=name)
