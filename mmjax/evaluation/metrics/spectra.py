"""Spectrograms of sounds that are judged."""

import abc
import dataclasses

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison
from mmjax.typing import Float

Spectra = list[Float[np.ndarray, "B _ _ C"]]
"""``[B, T, F, C]`` of each window: frames, frequencies or bins, channels."""

_OVERLAP = 4  # frames that see one sample
_QUIET = 1e-9  # added to a power
_CORNER, _LINEAR, _LOG = 1000.0, 200 / 3, np.log(6.4) / 27  # of Slaney's mel scale


@dataclasses.dataclass(frozen=True)
class SpectralComparison(Comparison):
    """A metric of sounds by their spectra alone, whatever sounds have them."""

    @abc.abstractmethod
    def spectra(self, sound: Float[np.ndarray, "B L C"]) -> Spectra:
        """What is compared, for each window."""

    @abc.abstractmethod
    def apart(self, made: Spectra, real: Spectra) -> dict[str, np.ndarray]:
        """Features of each clip by its spectra."""

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """Features of each pair of waveforms."""
        return self.apart(self.spectra(made), self.spectra(real))


def mel_filters(rate: int, window: int, bins: int) -> Float[np.ndarray, "M F"]:
    """Triangles of equal area on Slaney's mel scale over the lines of a Fourier transform."""
    half = rate / 2
    top = half / _LINEAR
    if half > _CORNER:
        top = _CORNER / _LINEAR + np.log(half / _CORNER) / _LOG
    mels = np.linspace(0, top, bins + 2)
    above = np.maximum(mels - _CORNER / _LINEAR, 0)
    edges = np.minimum(mels * _LINEAR, _CORNER) * np.exp(above * _LOG)
    lines = np.linspace(0, half, window // 2 + 1)
    triangles = zip(edges[:-2], edges[1:-1], edges[2:], strict=True)
    return np.stack([np.interp(lines, (a, b, c), (0, 1, 0)) * 2 / (c - a) for a, b, c in triangles])


def magnitudes(sound: Float[np.ndarray, "B L C"], window: int) -> Float[np.ndarray, "B T F C"]:
    """Under Hann windows; ``T`` is the length by the hop, and both ends are mirrored."""
    hop = window // _OVERLAP
    margin, count = (window - hop) // 2, sound.shape[1] // hop
    padded = np.pad(sound, ((0, 0), (margin, margin), (0, 0)), "reflect")
    places = np.arange(count)[:, None] * hop + np.arange(window)
    hann = np.hanning(window + 1)[:-1, None]
    spectrum = np.fft.rfft(padded[:, places] * hann, axis=2)
    return np.sqrt(np.square(spectrum.real) + np.square(spectrum.imag) + _QUIET)
