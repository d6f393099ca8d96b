"""One body followed through a clip, and where its velocity turns over in contact with a wall."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.parabolas import fit, partition, unexplained
from mmjax.evaluation.metrics.tracking import Bodies
from mmjax.typing import Bool, Float

FLOOR, CEILING, LEFT, RIGHT = range(4)

PRICE = 0.8  # square pixels that a further parabola must explain
_CONTACT = 1.5  # pixels between the body's edge and a wall that still count as contact
_SLOWEST = 0.25  # pixels a frame towards the wall before, and away from it after, a reversal
_LEEWAY = 0.5  # frames by which the crossing of two parabolas may miss the gap between them
_SEEN = 0.5  # share of the frames in which a body must be found to be followed


@dataclasses.dataclass(frozen=True)
class Paths:
    """Bodies followed through whole clips, one row each.

    Attributes:
      centres: ``[N, T, 2]`` x and y in pixels, gaps closed; zeros where nothing was followed.
      reach: ``[N, 4]`` distance from the centre to the left, top, right and bottom edge.
      followed: ``[N]`` whether there is a body.
    """

    centres: Float[np.ndarray, "N T 2"]
    reach: Float[np.ndarray, "N 4"]
    followed: Bool[np.ndarray, " N"]


def follow(bodies: Bodies) -> Paths:
    """The path of each clip's body; frames without it are interpolated."""
    centres = bodies.centres.copy()
    found = ~np.isnan(centres[..., 0])
    followed = found.mean(axis=1) >= _SEEN
    centres[~followed] = 0
    frames = np.arange(centres.shape[1])
    for row in np.flatnonzero(followed & ~found.all(axis=1)):
        for axis in range(2):
            known = centres[row, found[row], axis]
            centres[row, :, axis] = np.interp(frames, frames[found[row]], known)
    reach = np.zeros((len(centres), 4))
    offsets = bodies.boxes - np.tile(bodies.centres, 2)
    reach[followed] = np.nanmedian(offsets[followed], axis=1) * [-1, -1, 1, 1]
    return Paths(centres, reach, followed)


def bounces_of(paths: Paths, height: int, width: int) -> list[list[tuple[float, int]]]:
    """Every bounce of each path as (time in frames, wall), in time order.

    A bounce is a velocity that is reversed, from one parabola to the next, within reach of the wall
    that it was heading for; the turn of a body that gravity slows is part of one parabola.
    """
    found = [[] for _ in paths.centres]
    for axis, walls in ((0, (LEFT, RIGHT)), (1, (CEILING, FLOOR))):
        begins = partition(unexplained(paths.centres[..., axis]), PRICE)
        low = paths.reach[:, axis]
        high = (width, height)[axis] - paths.reach[:, axis + 2]
        for row in np.flatnonzero(paths.followed):
            turns = reversals(paths.centres[row, :, axis], np.flatnonzero(begins[row]).tolist())
            for time, place, direction in turns:
                gap = place - low[row] if direction < 0 else high[row] - place
                if gap <= _CONTACT:
                    found[row].append((time, walls[int(direction > 0)]))
    return [sorted(turns) for turns in found]


def reversals(path: Float[np.ndarray, " T"], begins: list[int]) -> list[tuple[float, float, int]]:
    """Where two neighbouring parabolas of a path meet with opposite velocities.

    Args:
      path: one coordinate, frame by frame.
      begins: the first frame of each parabola.

    Returns:
      (time in frames, coordinate, direction of motion before: 1 or -1) of each reversal.
    """
    ends = [first - 1 for first in (*begins[1:], len(path))]
    curves = [fit(path, first, last) for first, last in zip(begins, ends, strict=True)]
    turns = []
    for before, after, last in zip(curves[:-1], curves[1:], ends[:-1], strict=True):
        time = meeting(before - after, last)
        arriving = np.polyval(np.polyder(before), time)
        leaving = np.polyval(np.polyder(after), time)
        if arriving * leaving < 0 and min(abs(arriving), abs(leaving)) >= _SLOWEST:
            place = (np.polyval(before, time) + np.polyval(after, time)) / 2
            turns.append((time, place, 1 if arriving > 0 else -1))
    return turns


def meeting(difference: Float[np.ndarray, " 3"], last: int) -> float:
    """When two parabolas meet between frame ``last`` and the next.

    Where they do not meet there, the closest such time.
    """
    roots = np.roots(difference)
    # Parabolas that pass each other closely without meeting have a pair of complex roots.
    times = np.append(roots.real, last + 0.5)
    times = times[np.abs(times - last - 0.5) <= 0.5 + _LEEWAY]
    misses = np.abs(np.polyval(difference, times))
    return float(np.clip(times[misses.argmin()], last, last + 1))
