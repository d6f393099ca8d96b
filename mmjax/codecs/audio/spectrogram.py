"""Sound as log mel spectrograms, and an estimate of the sound that a spectrogram is of."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.audio.dilated import sound_grid
from mmjax.codecs.audio.mel import hann, log_mel, mel_filters
from mmjax.errors import UserError
from mmjax.layers.conv1d import pad_time
from mmjax.typing import Array, Float

_QUIET = 1e-8  # below it a Fourier coefficient has no phase


@dataclasses.dataclass(frozen=True)
class LogMel:
    """Natural logarithms of mel magnitudes under Hann windows, channels apart.

    Frame ``t`` is centred on sample ``(t + 1/2) * hop``. Phases are lost: ``decode`` guesses them
    (Griffin & Lim 1984, section III, the fast algorithm), which a trained vocoder does better.

    Attributes:
      rate: samples per second.
      window: samples per frame; with the hop it makes an even sum.
      hop: samples from one frame to the next.
      bins: of the spectrogram.
      mean: of the logarithms, which is taken away.
      deviation: of the logarithms, by which they are divided.
      rounds: of guessing phases.
    """

    rate: int
    window: int
    hop: int
    bins: int
    mean: float = 0.0
    deviation: float = 1.0
    rounds: int = 32

    host: ClassVar[bool] = False
    vocabulary: ClassVar[None] = None

    def __post_init__(self):
        if (self.window - self.hop) % 2 or not 0 < self.hop <= self.window:
            raise UserError(
                f"LogMel: window={self.window} must exceed hop={self.hop} by an even number"
            )

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """Frames and bins of a waveform ``(samples, channels)``."""
        return (*sound_grid(raw_shape, self.hop, "LogMel"), self.bins)

    def channels(self, raw_shape: tuple[int, ...]) -> int:
        """The sound's."""
        return raw_shape[1]

    def encode(self, sound: Float[Array, "B L C"]) -> Float[Array, "B T F C"]:
        """The spectrogram of waveforms in [-1, 1], ``T = L / hop``."""
        self.grid(sound.shape[1:])
        rows = jnp.clip(_rows(sound), -1.0, 1.0)
        mel = log_mel(rows, jnp.asarray(self._filters()), jnp.asarray(hann(self.window)), self.hop)
        mel = (mel - self.mean) / self.deviation
        return jnp.moveaxis(mel.reshape(len(sound), -1, *mel.shape[1:]), 1, -1)

    def decode(self, mel: Float[Array, "B T F C"]) -> Float[Array, "B L C"]:
        """Waveforms whose spectrogram is about this."""
        batch, frames, _, channels = mel.shape
        rows = jnp.moveaxis(mel, -1, 1).reshape(batch * channels, frames, -1)
        inverse = np.linalg.pinv(self._filters()).T
        magnitude = jnp.maximum(jnp.exp(rows * self.deviation + self.mean) @ inverse, 0.0)
        turn = jax.random.uniform(jax.random.key(0), magnitude.shape, maxval=2 * np.pi)

        def better(_: Array, phase: Array) -> Array:
            spectrum = self._spectrum(self._sound(magnitude * phase))
            return spectrum / jnp.maximum(jnp.abs(spectrum), _QUIET)

        phase = jax.lax.fori_loop(0, self.rounds, better, jnp.exp(1j * turn))
        sound = self._sound(magnitude * phase)
        return jnp.moveaxis(sound.reshape(batch, channels, -1), 1, -1)

    def _filters(self) -> np.ndarray:
        return mel_filters(self.rate, self.window, self.bins)

    def _places(self, frames: int) -> np.ndarray:
        """The sample, of a sound with both margins, under each place of each window."""
        return np.arange(frames)[:, None] * self.hop + np.arange(self.window)

    def _spectrum(self, rows: Float[Array, "N L"]) -> Array:
        margin = (self.window - self.hop) // 2
        padded = pad_time(rows[..., None], margin, margin, "reflect")[..., 0]
        return jnp.fft.rfft(padded[:, self._places(rows.shape[1] // self.hop)] * hann(self.window))

    def _sound(self, spectrum: Array) -> Float[Array, "N L"]:
        """The sound nearest to a spectrum (ibid., eq. 6): windowed frames added up."""
        frames, window = spectrum.shape[1], hann(self.window)
        places, margin = self._places(frames), (self.window - self.hop) // 2
        length = (frames - 1) * self.hop + self.window
        parts = jnp.fft.irfft(spectrum, self.window) * window
        total = jnp.zeros((len(spectrum), length)).at[:, places].add(parts)
        weight = np.bincount(places.reshape(-1), np.tile(window**2, frames)).astype(np.float32)
        return (total / np.maximum(weight, 1e-3))[:, margin : length - margin]


def _rows(sound: Float[Array, "B L C"]) -> Float[Array, "N L"]:
    """Channels as examples."""
    return sound.swapaxes(1, 2).reshape(-1, sound.shape[1])
