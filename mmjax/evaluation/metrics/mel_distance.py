"""How near sounds come to those they should equal, by their mel spectrograms."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.spectra import Spectra, SpectralComparison, magnitudes, mel_filters
from mmjax.typing import Float

_FLOOR = 1e-5  # of a mel magnitude


@dataclasses.dataclass(frozen=True)
class MelDistance(SpectralComparison):
    """Mean absolute difference of mel magnitudes in decimal logarithms, a mean over windows.

    The mel distance of DAC (Kumar et al. 2023, 2306.06546, section 3.4), 0.05 for one decibel.
    Magnitudes count from 1e-5, so that noise where there should be silence weighs much, and
    silence in place of short sounds little:
    :class:`mmjax.evaluation.metrics.spectral_convergence.SpectralConvergence` tells of those.

    * ``mel``: over clips, channels, frames, bins and windows.

    Attributes:
      field: the one judged, waveforms from -1 to 1.
      rate: samples per second.
      windows: samples of each kind of frame, multiples of eight; a quarter of that apart.
      bins: mel bins for each window.
    """

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

    def apart(self, made: Spectra, real: Spectra) -> dict[str, np.ndarray]:
        """The distance of each clip by its spectra."""
        pairs = zip(made, real, strict=True)
        return {"mel": np.mean([np.abs(a - b).mean(axis=(1, 2, 3)) for a, b in pairs], axis=0)}

    def spectra(self, sound: Float[np.ndarray, "B L C"]) -> Spectra:
        """Decimal logarithms of mel magnitudes for each window."""
        found = []
        for window, bins in zip(self.windows, self.bins, strict=True):
            mels = mel_filters(self.rate, window, bins) @ magnitudes(sound, window)
            found.append(np.log10(np.maximum(mels, _FLOOR)))
        return found
