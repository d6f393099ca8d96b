"""How much of the sounds' spectra is wrong, whatever their phases."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.spectra import Spectra, SpectralComparison, magnitudes
from mmjax.typing import Float


@dataclasses.dataclass(frozen=True)
class SpectralConvergence(SpectralComparison):
    """The length of the spectra's error over that of the real spectra, a mean over windows.

    Arik et al. 2018 (1808.06719), section 3.1.1, over all clips at once, so that a silent clip is
    no quotient by nothing. Loud sounds are what it measures; silence has 1.

    * ``convergence``: over clips, channels, frames and frequencies.

    Attributes:
      field: the one judged, waveforms from -1 to 1.
      windows: samples of each kind of frame, multiples of eight; a quarter of that apart.
    """

    windows: tuple[int, ...] = (64, 256, 1024)

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"spectral_convergence/v1/{self.field}/{','.join(map(str, self.windows))}"

    def apart(self, made: Spectra, real: Spectra) -> dict[str, np.ndarray]:
        """Squared lengths of each clip by its spectra: of what is wrong, and of what is real."""
        sums = [(_square(a - b), _square(b)) for a, b in zip(made, real, strict=True)]
        wrong, whole = (np.stack(each, axis=1) for each in zip(*sums, strict=True))
        return {"wrong": wrong, "whole": whole}

    def compute(self, features: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The figure; infinite where the real sounds are all silent and the others are not."""
        if not features:
            return {}
        wrong, whole = (features[key].sum(0) for key in ("wrong", "whole"))
        with np.errstate(divide="ignore"):
            shares = np.divide(wrong, whole, out=np.zeros_like(wrong), where=wrong > 0)
        return {"convergence": float(np.mean(np.sqrt(shares)))}

    def spectra(self, sound: Float[np.ndarray, "B L C"]) -> Spectra:
        """Magnitudes for each window."""
        return [magnitudes(sound, window) for window in self.windows]


def _square(values: Float[np.ndarray, "B T F C"]) -> Float[np.ndarray, " B"]:
    return np.square(values).sum(axis=(1, 2, 3), dtype=np.float64)
