"""Bounces of several bodies that cross each other: contacts with a wall that come and go.

Overlapping bodies cannot be followed one by one at this size, so this looks at the walls instead: a
bounce brightens a spot of the wall for a few frames. It is less sure than following one body.
"""

import numpy as np

from mmjax.evaluation.metrics.paths import CEILING, FLOOR, LEFT, RIGHT
from mmjax.typing import Float

_DEPTHS = (1.0, 0.7)  # weight of the pixels next to the wall, outermost first
_TOUCH = 0.2  # weighted brightness at which a spot of the wall is touched
_PROMINENCE = 0.5  # by which the light on a spot must rise and fall again


def contacts_of(light: Float[np.ndarray, "T H W"]) -> list[tuple[float, int]]:
    """Every passing contact as (time in frames, wall), in time order.

    Args:
      light: a clip's brightness from 0 to 1.
    """
    from scipy import ndimage

    columns = light.transpose(0, 2, 1)
    strips = {FLOOR: light[:, ::-1], CEILING: light, LEFT: columns, RIGHT: columns[:, ::-1]}
    found = []
    for wall, strip in strips.items():
        weights = np.array(_DEPTHS)[:, None]
        touch = (strip[:, : len(_DEPTHS)] * weights).max(axis=1)  # [T, along the wall]
        # Strokes of one digit, a pixel apart, are one contact.
        spots, number = ndimage.label(ndimage.binary_dilation(touch >= _TOUCH, np.ones((1, 3))))
        for spot in range(1, number + 1):
            course = np.where(spots == spot, touch, 0).sum(axis=1)
            found += [(time, wall) for time in pulses(course)]
    return sorted(found)


def pulses(course: Float[np.ndarray, " T"]) -> list[float]:
    """The times in frames, between frames where the light says so, at which a contact peaks."""
    from scipy.signal import find_peaks

    peaks, shape = find_peaks(course, prominence=_PROMINENCE)
    times = []
    for peak, prominence in zip(peaks, shape["prominences"], strict=True):
        frames = np.arange(peak - 1, peak + 2)
        above = np.maximum(course[frames] - (course[peak] - prominence), 0)
        times.append(float(above @ frames / above.sum()))
    return times
