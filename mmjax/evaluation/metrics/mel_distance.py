"""How near sounds come to those they should equal, by their mel spectrograms."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.typing import Float

Arrays = Mapping[str, np.ndarray]

_OVERLAP = 4  # frames that see one sample
_FLOOR = 1e-5  # of a mel magnitude
_QUIET = 1e-9  # added to a power
_CORNER, _LINEAR, _LOG = 1000.0, 200 / 3, np.log(6.4) / 27  # of Slaney's mel scale


@dataclasses.dataclass(frozen=True)
class MelDistance:
    """Mean absolute difference of mel magnitudes in decimal logarithms, a mean over windows.

    The mel distance of DAC (Kumar et al. 2023, 2306.06546, section 3.4), 0.05 for one decibel.
    Magnitudes count from 1e-5, so that noise where there should be silence weighs much.

    * ``mel``: over clips, channels, frames, bins and windows.

    Attributes:
      field: the one judged, waveforms from -1 to 1.
      rate: samples per second.
      windows: samples of each kind of frame, multiples of eight; a quarter of that apart.
      bins: mel bins for each window.
    """

    field: str
    rate: int
    windows: tuple[int, ...] = (64, 256, 1024)
    bins: tuple[int, ...] = (10, 20, 40)

    def __post_init__(self):
        if len(self.windows) != len(self.bins):
            raise ValueError(f"bins: give one number for each of the {len(self.windows)} windows")

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        scales = ",".join(f"{w}:{b}" for w, b in zip(self.windows, self.bins, strict=True))
        return f"mel_distance/v1/{self.field}/{self.rate}/{scales}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """The distance of each clip ``[B]``; nothing where the field is not there."""
        if self.field not in media or self.field not in truth:
            return {}
        pairs = zip(*(self.spectra(x[self.field]) for x in (media, truth)), strict=True)
        apart = [np.abs(made - real).mean(axis=(1, 2, 3)) for made, real in pairs]
        return {"mel": np.mean(apart, axis=0)}

    def compute(self, features: Arrays) -> dict[str, float]:
        """The mean."""
        return {name: float(values.mean()) for name, values in features.items()}

    def spectra(self, sound: Float[np.ndarray, "B L C"]) -> list[Float[np.ndarray, "B T M C"]]:
        """Decimal logarithms of mel magnitudes for each window."""
        found = []
        for window, bins in zip(self.windows, self.bins, strict=True):
            mels = mel_filters(self.rate, window, bins) @ _magnitudes(sound, window)
            found.append(np.log10(np.maximum(mels, _FLOOR)))
        return found


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


def _magnitudes(sound: Float[np.ndarray, "B L C"], window: int) -> Float[np.ndarray, "B T F C"]:
    """Under Hann windows; ``T`` is the length by the hop, and both ends are mirrored."""
    hop = window // _OVERLAP
    margin, count = (window - hop) // 2, sound.shape[1] // hop
    padded = np.pad(sound, ((0, 0), (margin, margin), (0, 0)), "reflect")
    places = np.arange(count)[:, None] * hop + np.arange(window)
    hann = np.hanning(window + 1)[:-1, None]
    spectrum = np.fft.rfft(padded[:, places] * hann, axis=2)
    return np.sqrt(np.square(spectrum.real) + np.square(spectrum.imag) + _QUIET)
