"""How far apart two sounds are by their spectra at several resolutions: errors of objectives.

Each has the interface of :class:`mmjax.objectives.errors.Error` and gives one number per example.
"""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.codecs.audio.mel import hann, htk_filters, mel_filters
from mmjax.errors import UserError
from mmjax.layers.conv1d import pad_time
from mmjax.typing import Array, Float

OVERLAP = 4  # frames that see one sample
_FLOOR = 1e-5  # of a magnitude, before its logarithm
_QUIET = 1e-9  # added to a power, for the square root has no slope at 0


@dataclasses.dataclass(frozen=True)
class MelComparison(abc.ABC):
    """A distance of two sounds as a sum over mel spectrograms of several windows.

    Attributes:
      rate: samples per second.
      windows: samples per frame, multiples of eight; frames are a quarter of that apart.
      bins: mel bins for each window.
      weight: factor of its mean in the loss.

    Raises:
      ValueError: there are not as many ``bins`` as ``windows``.
    """

    rate: int
    windows: tuple[int, ...]
    bins: tuple[int, ...]
    weight: float = 1.0

    def __post_init__(self):
        if len(self.windows) != len(self.bins):
            raise ValueError(f"bins: give one number for each of the {len(self.windows)} windows")

    def inputs(self, values: Array) -> dict[str, tuple]:
        """No network."""
        return {}

    def __call__(
        self, ctx: Any, made: Float[Array, "B L C"], real: Float[Array, "B L C"]
    ) -> Float[Array, " B"]:
        """Zero where the sounds are equal; all channels count alike. ``ctx`` is not used."""
        pairs = zip(self.windows, self.bins, strict=True)
        return sum(self.apart(made, real, window, bins) for window, bins in pairs)

    @abc.abstractmethod
    def apart(
        self, made: Float[Array, "B L C"], real: Float[Array, "B L C"], window: int, bins: int
    ) -> Float[Array, " B"]:
        """The distance by the spectrograms of one window."""


@dataclasses.dataclass(frozen=True)
class MultiScaleMel(MelComparison):
    """Differences of mel magnitudes.

    By default the mean absolute difference of decimal logarithms (DAC; Kumar et al. 2023,
    2306.06546, section 3.4).

    Attributes:
      magnitudes: the mean absolute difference of magnitudes plus the mean squared one of natural
        logarithms instead, whose slopes do not cancel where most of a sound is silent.
      offset: added to magnitudes before their logarithms, whose slopes it bounds.
    """

    magnitudes: bool = False
    offset: float = 0.0

    def apart(
        self, made: Float[Array, "B L C"], real: Float[Array, "B L C"], window: int, bins: int
    ) -> Float[Array, " B"]:
        """The distance by magnitudes on Slaney's mel scale."""
        filters = mel_filters(self.rate, window, bins).T
        one, other = (_mel(sound, window, filters) for sound in (made, real))
        logs = _log(one, self.offset) - _log(other, self.offset)
        if self.magnitudes:
            return _mean(jnp.abs(one - other)) + _mean(jnp.square(logs))
        return _mean(jnp.abs(logs)) / np.log(10)


@dataclasses.dataclass(frozen=True)
class MultiScaleMelPower(MelComparison):
    """Differences of mel power spectra and of their logarithms, a mean over both and windows.

    The mean absolute difference of powers, divided by the sum of the window's squares, and the
    mean squared one of decimal logarithms (EnCodec; Defossez et al. 2022, 2210.13438, section 3.4;
    powers, logarithms and HTK's mel scale as in the authors' code).

    Attributes:
      lowest: where the mel bins begin, in hertz.
      floor: added to powers before their logarithms.
    """

    lowest: float = 64.0
    floor: float = 1e-5

    def apart(
        self, made: Float[Array, "B L C"], real: Float[Array, "B L C"], window: int, bins: int
    ) -> Float[Array, " B"]:
        """The window's share of the mean."""
        filters = htk_filters(self.rate, window, bins, self.lowest).T
        filters /= np.sum(np.square(hann(window)))
        one, other = (_power(sound, window).swapaxes(2, 3) @ filters for sound in (made, real))
        logs = jnp.log10(one + self.floor) - jnp.log10(other + self.floor)
        both = _mean(jnp.abs(one - other)) + _mean(jnp.square(logs))
        return both / (2 * len(self.windows))


@dataclasses.dataclass(frozen=True)
class MultiScaleStft:
    """Spectral convergence plus differences of log magnitudes, summed over several windows.

    Yamamoto et al. 2020 (1910.11480), equations 4 and 5. Of stereo, the sum and the difference of
    both channels are compared (Steinmetz et al. 2020, 2010.10291).

    Attributes:
      windows: samples per frame, multiples of eight; frames are a quarter of that apart.
      weight: factor of its mean in the loss.
      quietest: the amplitude, as a root of a mean square, that a sound has at least in the
        convergence's denominator. At 0 a clip of silence outweighs all others.
      offset: added to magnitudes before their logarithms. At 0 the slope of a magnitude next to
        nothing outweighs all others.
    """

    windows: tuple[int, ...]
    weight: float = 1.0
    quietest: float = 0.0
    offset: float = 0.0

    def inputs(self, values: Array) -> dict[str, tuple]:
        """No network."""
        return {}

    def __call__(
        self, ctx: Any, made: Float[Array, "B L C"], real: Float[Array, "B L C"]
    ) -> Float[Array, " B"]:
        """Zero where the sounds are equal. ``ctx`` is not used."""
        total = jnp.zeros(len(made))
        made, real = _middle_and_side(made), _middle_and_side(real)
        for window in self.windows:
            one, other = magnitudes(made, window), magnitudes(real, window)
            # What even noise of that amplitude has: the Hann window's power, over half the lines.
            least = self.quietest * np.sqrt(3 / 8 * window * np.prod(other.shape[1:]))
            total += _length(one - other) / jnp.maximum(_length(other), least)
            total += _mean(jnp.abs(_log(one, self.offset) - _log(other, self.offset)))
        return total


def stft(sound: Float[Array, "B L C"], window: int) -> Array:
    """The complex spectrogram ``[B, T, F, C]`` under Hann windows, ``F = window // 2 + 1``.

    Frames are ``hop = window / 4`` samples apart and ``T = L // hop``; both ends are mirrored by
    ``3 / 2 * hop`` samples.

    Raises:
      UserError: the window is no multiple of 8, or the sound shorter than a hop.
    """
    hop, rest = divmod(window, OVERLAP)
    if rest or hop % 2:
        raise UserError(f"a window of {window} samples: give a multiple of {2 * OVERLAP}")
    if sound.shape[1] < hop:
        raise UserError(
            f"sound of {sound.shape[1]} samples: a window of {window} takes {hop} and more"
        )
    margin, count = (window - hop) // 2, sound.shape[1] // hop
    padded = pad_time(sound, margin, margin, "reflect")[:, : (count + OVERLAP - 1) * hop]
    # Blocks side by side and not gathered samples, whose gradient would be a scatter.
    blocks = padded.reshape(len(sound), -1, hop, sound.shape[2])
    frames = [blocks[:, part : part + count] for part in range(OVERLAP)]
    return jnp.fft.rfft(jnp.concatenate(frames, axis=2) * hann(window)[:, None], axis=2)


def magnitudes(sound: Float[Array, "B L C"], window: int) -> Float[Array, "B T F C"]:
    """The absolute values of :func:`stft`."""
    return jnp.sqrt(_power(sound, window) + _QUIET)


def _power(sound: Float[Array, "B L C"], window: int) -> Float[Array, "B T F C"]:
    spectrum = stft(sound, window)
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def _mel(sound: Array, window: int, filters: np.ndarray) -> Float[Array, "B T C M"]:
    return magnitudes(sound, window).swapaxes(2, 3) @ filters


def _middle_and_side(sound: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
    if sound.shape[-1] != 2:
        return sound
    left, right = sound[..., :1], sound[..., 1:]
    return jnp.concatenate([left + right, left - right], axis=-1)


def _log(magnitude: Array, offset: float) -> Array:
    return jnp.log(jnp.maximum(magnitude, _FLOOR) + offset)


def _length(values: Array) -> Float[Array, " B"]:
    return jnp.sqrt(jnp.sum(jnp.square(values), axis=tuple(range(1, values.ndim))) + _QUIET)


def _mean(values: Array) -> Float[Array, " B"]:
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))
