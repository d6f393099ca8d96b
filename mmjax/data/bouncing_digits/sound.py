"""The sound: a struck tone per bounce, with the pitch of the digit and the pan of its position."""

import functools

import numpy as np

from mmjax.typing import Float

PITCHES = (300.0, 375.0, 475.0, 612.5, 775.0, 975.0, 1237.5, 1562.5, 1975.0, 2500.0)
"""Hertz, one per digit, in steps of about four semitones. All are multiples of 12.5 Hz and locked
to the clip's clock, so at 12.5 frames a second a tone has the same waveform in every frame."""

DECAY = 0.12
"""Seconds after which a tone has fallen to 1/e."""

_SOFTEST, _LOUDEST = 0.1, 0.4


def loudness(speeds: Float[np.ndarray, " E"], fastest: float) -> Float[np.ndarray, " E"]:
    """The amplitudes of impacts: linear in their speeds up to ``fastest``."""
    return _SOFTEST + (_LOUDEST - _SOFTEST) * np.minimum(speeds / fastest, 1)


@functools.lru_cache(maxsize=64)
def _carrier(pitch: float, samples: int, rate: int) -> np.ndarray:
    return np.sin(2 * np.pi * pitch * np.arange(samples) / rate)


@functools.lru_cache(maxsize=8)
def _decay(samples: int, rate: int) -> np.ndarray:
    return np.exp(-np.arange(samples) / (rate * DECAY))[:, None]


def strike(
    times: Float[np.ndarray, " E"],
    amplitudes: Float[np.ndarray, " E"],
    pans: Float[np.ndarray, " E"],
    pitch: float,
    samples: int,
    rate: int,
) -> Float[np.ndarray, "L 2"]:
    """The stereo sound ``[samples, 2]`` of one digit struck at ``times`` ``[E]`` seconds.

    Args:
      times: when the strikes happen; the first sample that sounds is the first at or after it.
      amplitudes: ``[E]`` amplitude of each strike.
      pans: ``[E]`` position from 0 (left) to 1 (right); the two channels' power sums to a constant.
      pitch: hertz.
      samples: length of the clip.
      rate: samples per second.
    """
    decay = _decay(samples, rate)
    envelope = np.zeros((samples, 2))
    for time, amplitude, pan in zip(times, amplitudes, pans, strict=True):
        first = int(np.ceil(time * rate - 1e-6))
        elapsed = first / rate - time
        gains = amplitude * np.array([np.cos(pan * np.pi / 2), np.sin(pan * np.pi / 2)])
        envelope[first:] += gains * np.exp(-elapsed / DECAY) * decay[: samples - first]
    return envelope * _carrier(pitch, samples, rate)[:, None]
