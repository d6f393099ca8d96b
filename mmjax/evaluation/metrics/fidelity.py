"""How near pictures and films come to those they should equal."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison
from mmjax.typing import Float, UInt8

_PEAK = 255.0
_WINDOW = 7  # pixels
_LOW, _HIGH = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


@dataclasses.dataclass(frozen=True)
class Fidelity(Comparison):
    """Pixels beside those of the held-out clip, means over clips.

    * ``psnr``: peak signal to noise ratio in decibels, of each clip as a whole; infinite where
      nothing differs;
    * ``ssim``: structural similarity (Wang et al. 2004, eq. 13) over even windows of 7 x 7 pixels
      of each frame and channel, as scikit-image's default but for the divisor of the variances,
      which is the number of pixels. Pictures below 7 pixels have the largest odd window that fits.

    Attributes:
      field: the one judged, pixels from 0 to 255.
    """

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"fidelity/v1/{self.field}/peak{_PEAK:g}/window{_WINDOW}"

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """Both figures of each clip ``[B]``."""
        made, real = (np.asarray(clips, np.float64) for clips in (made, real))
        error = np.square(made - real).mean(axis=tuple(range(1, real.ndim)))
        with np.errstate(divide="ignore"):
            ratio = 10 * np.log10(_PEAK**2 / error)
        return {"psnr": ratio, "ssim": similarity(made, real)}


def similarity(
    one: Float[np.ndarray, "B *T H W C"] | UInt8[np.ndarray, "B *T H W C"],
    other: Float[np.ndarray, "B *T H W C"] | UInt8[np.ndarray, "B *T H W C"],
) -> Float[np.ndarray, " B"]:
    """SSIM of each pair of clips with values from 0 to 255."""
    from scipy.ndimage import uniform_filter

    least = min(one.shape[-3:-1])
    window = min(_WINDOW, least - 1 + least % 2)
    margin = slice(window // 2, -(window // 2) or None)
    size = (1,) * (one.ndim - 3) + (window, window, 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size)[..., margin, margin, :]

    one, other = one.astype(np.float64), other.astype(np.float64)
    light, other_light = mean(one), mean(other)
    spread = mean(one * one) - light**2 + mean(other * other) - other_light**2
    both = mean(one * other) - light * other_light
    alike = (2 * light * other_light + _LOW) / (light**2 + other_light**2 + _LOW)
    found = alike * (2 * both + _HIGH) / (spread + _HIGH)
    return found.mean(axis=tuple(range(1, one.ndim)))
