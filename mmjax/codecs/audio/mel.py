"""Log mel spectrograms of sound."""

import jax.numpy as jnp
import numpy as np

from mmjax.layers.conv1d import pad_time
from mmjax.typing import Array, Float

_LINEAR = 200 / 3  # hertz per mel below 1 kHz
_CORNER = 1000.0
_STEP = np.log(6.4) / 27  # in log frequency per mel above
_HTK_CORNER = 700.0  # hertz


def mel_filters(rate: int, window: int, bins: int) -> np.ndarray:
    """Triangles on Slaney's mel scale, each of the same area: ``[bins, window // 2 + 1]``.

    Args:
      rate: samples per second.
      window: samples per Fourier transform.
      bins: how many, from 0 to half the rate.
    """
    edges = _to_hertz(np.linspace(0, _to_mel(rate / 2), bins + 2))
    areas = 2 / (edges[2:] - edges[:-2])
    return (_triangles(rate, window, edges) * areas[:, None]).astype(np.float32)


def htk_filters(rate: int, window: int, bins: int, lowest: float = 0.0) -> np.ndarray:
    """Triangles of height one on HTK's mel scale: ``[bins, window // 2 + 1]``.

    The scale is that of O'Shaughnessy (1987), ``2595 log10(1 + hertz / 700)``.

    Args:
      rate: samples per second.
      window: samples per Fourier transform.
      bins: how many, to half the rate. Those between two lines of the transform are empty.
      lowest: where the first one begins, in hertz.
    """
    ends = np.log1p(np.array([lowest, rate / 2]) / _HTK_CORNER)
    edges = _HTK_CORNER * np.expm1(np.linspace(*ends, bins + 2))
    return _triangles(rate, window, edges).astype(np.float32)


def log_mel(
    sound: Float[Array, "B L"],
    filters: Float[Array, "F S"],
    window: Float[Array, " W"],
    hop: int,
    floor: float = 1e-5,
) -> Float[Array, "B T F"]:
    """The natural logarithm of mel magnitudes, ``T = L // hop`` where ``W - hop`` is even.

    Both ends are mirrored by ``(W - hop) // 2`` samples, so that frame ``t`` is centred on sample
    ``(t + 1/2) * hop``.

    Args:
      sound: waveforms.
      filters: see :func:`mel_filters`.
      window: what each frame is multiplied by.
      hop: samples from one frame to the next.
      floor: the least magnitude, before the logarithm.
    """
    size = len(window)
    margin = (size - hop) // 2
    padded = pad_time(sound[..., None], margin, margin, "reflect")[..., 0]
    count = (padded.shape[1] - size) // hop + 1
    frames = padded[:, np.arange(count)[:, None] * hop + np.arange(size)] * window
    spectrum = jnp.fft.rfft(frames)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    magnitude = jnp.sqrt(power + 1e-9)
    return jnp.log(jnp.maximum(magnitude @ filters.T, floor))


def hann(size: int) -> np.ndarray:
    """The periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _triangles(rate: int, window: int, edges: np.ndarray) -> np.ndarray:
    """Over the lines of the transform, each from one of ``edges`` to the one after the next."""
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.maximum(np.minimum(rising, falling), 0)


def _to_mel(hertz: float) -> float:
    if hertz < _CORNER:
        return hertz / _LINEAR
    return _CORNER / _LINEAR + np.log(hertz / _CORNER) / _STEP


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    above = _CORNER * np.exp(_STEP * (mel - _CORNER / _LINEAR))
    return np.where(mel < _CORNER / _LINEAR, _LINEAR * mel, above)
