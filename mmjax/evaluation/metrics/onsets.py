"""Sound onsets: sudden rises of the energy."""

import numpy as np

from mmjax.typing import Float

MOST = 24
"""Onsets of one clip that are kept; the rest of a noisy clip is dropped."""

_HOP = 0.004  # seconds between energies
_WINDOW = 0.008  # seconds of an energy
_LAG = 3  # hops over which the energy rises
_SILENCE = 5e-4  # mean square, both channels together, below which changes are not heard
_RISE = 0.7  # natural logarithm of the energy's growth that makes an onset
_REST = 0.048  # seconds between onsets


def sound_onsets(audio: Float[np.ndarray, "B L C"], rate: int) -> Float[np.ndarray, "B E"]:
    """Onset times in seconds, ascending, padded with NaN.

    An onset is the steepest rise of the logarithm of the short-time energy in its neighbourhood
    (the energy novelty of Bello et al. 2005, A tutorial on onset detection in music signals).

    Args:
      audio: waveforms from -1 to 1.
      rate: samples per second.
    """
    from scipy.signal import find_peaks

    hop, window = round(_HOP * rate), round(_WINDOW * rate)
    power = np.square(audio, dtype=np.float64).sum(axis=-1)
    power = np.nan_to_num(power)  # a broken sample is silence, not the end of the evaluation
    total = np.cumsum(np.pad(power, ((0, 0), (window // 2 + 1, window))), axis=1)
    first = np.arange(0, power.shape[1], hop)
    energy = (total[:, first + window] - total[:, first]) / window
    level = np.log(energy + _SILENCE)
    rise = np.zeros_like(level)
    rise[:, _LAG:] = level[:, _LAG:] - level[:, :-_LAG]

    onsets = np.full((len(audio), MOST), np.nan)
    for row, novelty in enumerate(rise):
        peaks, _ = find_peaks(novelty, height=_RISE, distance=round(_REST / _HOP))
        times = (peaks[:MOST] - _LAG / 2) * hop / rate
        onsets[row, : len(times)] = times
    return onsets
