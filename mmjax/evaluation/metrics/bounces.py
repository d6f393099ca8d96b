"""Visible bounces of a batch of clips, by whichever detector fits the number of bodies."""

from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.contacts import contacts_of
from mmjax.evaluation.metrics.paths import bounces_of, follow
from mmjax.evaluation.metrics.tracking import SMOOTHING, brightness, find_bodies
from mmjax.typing import Float, Int, UInt8

MOST = 24
"""Bounces of one clip that are kept; the rest of a flickering clip is dropped."""


def count_digits(truth: Mapping[str, np.ndarray], batch: int) -> Int[np.ndarray, " B"]:
    """How many digits each clip should show: those of ``truth["digits"]``, else one."""
    if "digits" not in truth:
        return np.ones(batch, int)
    return (np.asarray(truth["digits"]) >= 0).sum(axis=1)


def visible_bounces(
    video: UInt8[np.ndarray, "B T H W C"], digits: Int[np.ndarray, " B"]
) -> Float[np.ndarray, "B E 2"]:
    """Every visible bounce as (time in frames, wall), in time order, padded with NaN.

    A clip of one digit is followed and its velocity must turn over at a wall; clips of several are
    judged by passing contacts. Walls are 0 floor, 1 ceiling, 2 left, 3 right.

    Args:
      video: the clips.
      digits: how many digits each should show.
    """
    height, width = video.shape[2:4]
    found = np.full((len(video), MOST, 2), np.nan)
    single, several = np.flatnonzero(digits <= 1), np.flatnonzero(digits > 1)
    if len(single):
        paths = follow(find_bodies(video[single]))
        for row, bounces in zip(single, bounces_of(paths, height, width), strict=True):
            _write(found[row], bounces)
    if len(several):
        for row, light in zip(several, brightness(video[several], SMOOTHING), strict=True):
            _write(found[row], contacts_of(light))
    return found


def _write(slots: np.ndarray, bounces: list[tuple[float, int]]):
    for slot, bounce in zip(slots, bounces, strict=False):
        slot[:] = bounce
