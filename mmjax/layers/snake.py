"""A periodic activation for sound, plain and without aliasing."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mmjax.layers.conv1d import pad_time
from mmjax.typing import Array, Float

_RATIO, _TAPS = 2, 12


class Snake(nn.Module):
    """``x + sin^2(frequency * x) / magnitude`` per channel (Ziyin et al. 2020, eq. 3).

    Attributes:
      logarithmic: whether frequency and magnitude are parameters of their own, kept as logarithms
        (BigVGAN-v2; Lee et al. 2022, section 3.2); else they are one positive parameter.
    """

    logarithmic: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """The activated ``x``."""
        channels = x.shape[-1:]
        if self.logarithmic:
            frequency = jnp.exp(self.param("frequency", nn.initializers.zeros, channels))
            magnitude = jnp.exp(self.param("magnitude", nn.initializers.zeros, channels))
        else:
            frequency = magnitude = self.param("frequency", nn.initializers.ones, channels)
        return x + jnp.square(jnp.sin(frequency * x)) / (magnitude + 1e-9)


class AliasFreeSnake(nn.Module):
    """A snake at twice the rate, so that the harmonics it makes do not fold back (ibid.).

    Both rate changes use a windowed sinc, which public weights store: the collection
    ``constants`` holds it as ``up`` and ``down``, ``[1, 1, taps]``.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """The activated ``x``."""
        taps = kaiser_sinc(_TAPS, 0.5 / _RATIO, 0.6 / _RATIO)[None, None]
        up = self.variable("constants", "up", jnp.asarray, taps).value
        down = self.variable("constants", "down", jnp.asarray, taps).value
        y = Snake(logarithmic=True, name="snake")(_raise(x, jnp.asarray(up)[0, 0]))
        return _lower(y, jnp.asarray(down)[0, 0])


def kaiser_sinc(taps: int, cutoff: float, half_width: float) -> np.ndarray:
    """A low-pass filter of sum 1 (Kaiser 1974).

    Args:
      taps: its length.
      cutoff: where it falls, in cycles per sample.
      half_width: half the width of the fall, in cycles per sample.
    """
    attenuation = 2.285 * (taps // 2 - 1) * np.pi * 4 * half_width + 7.95  # in decibels
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        excess = max(attenuation - 21, 0.0)
        beta = 0.5842 * excess**0.4 + 0.07886 * excess
    time = np.arange(taps) - (taps - 1) / 2
    response = np.kaiser(taps, beta) * np.sinc(2 * cutoff * time)
    return (response / response.sum()).astype(np.float32)


def _raise(x: Array, taps: Array) -> Array:
    """``x`` at ``_RATIO`` times its rate: one short filter for each of the new phases."""
    length, margin = x.shape[1], len(taps) // _RATIO - 1
    padded = pad_time(x, margin, margin, "edge")
    start = margin * _RATIO + (len(taps) - _RATIO) // 2
    phases = []
    for shift in range(start, start + _RATIO):
        terms = [
            taps[tap] * padded[:, (shift - tap) // _RATIO :][:, :length]
            for tap in range(shift % _RATIO, len(taps), _RATIO)
        ]
        phases.append(_RATIO * sum(terms))
    return jnp.stack(phases, axis=2).reshape(x.shape[0], _RATIO * length, x.shape[2])


def _lower(x: Array, taps: Array) -> Array:
    """``x`` filtered, every ``_RATIO``-th step of it."""
    length = x.shape[1]
    padded = pad_time(x, (len(taps) - 1) // 2, len(taps) // 2, "edge")
    return sum(taps[tap] * padded[:, tap : tap + length : _RATIO] for tap in range(len(taps)))
