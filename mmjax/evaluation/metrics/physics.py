"""Whether the digit moves as a thrown body does."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits
from mmjax.evaluation.metrics.parabolas import partition, unexplained
from mmjax.evaluation.metrics.paths import PRICE, Paths, follow
from mmjax.evaluation.metrics.tracking import find_bodies
from mmjax.typing import Float

Arrays = Mapping[str, np.ndarray]

_NEAR = 3.0  # pixels from a wall within which the motion may change abruptly


@dataclasses.dataclass(frozen=True)
class PhysicsError:
    """How far the digit strays from constant acceleration between one wall contact and the next.

    Clips of one digit are judged. ``error_px`` is the root mean square distance in pixels between
    the tracked centre and the best parabolas, averaged over the clips in which a digit can be
    followed; ``followed`` is the share of those, and ``speed_px`` the mean distance that the digit
    goes from frame to frame, which tells a still film from a lawful one.
    """

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return "physics/parabola-v1"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Error and speed in pixels, NaN where nothing is followed, ``[B]`` each."""
        if "video" not in media:
            return {}
        video = media["video"]
        paths = follow(find_bodies(video))
        errors = stray(paths, *video.shape[2:4])
        speeds = np.linalg.norm(np.diff(paths.centres, axis=1), axis=-1).mean(axis=1)
        return {
            "error": np.where(paths.followed, errors, np.nan),
            "speed": np.where(paths.followed, speeds, np.nan),
            "single": count_digits(truth, len(video)) == 1,
        }

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above; error and speed are absent where nothing is followed."""
        if not features or not features["single"].any():
            return {}
        error, speed = (features[name][features["single"]] for name in ("error", "speed"))
        followed = ~np.isnan(error)
        figures = {"followed": float(followed.mean())}
        if followed.any():
            figures["error_px"] = float(error[followed].mean())
            figures["speed_px"] = float(speed[followed].mean())
        return figures


def stray(paths: Paths, height: int, width: int) -> Float[np.ndarray, " N"]:
    """The root mean square distance from the best parabolas that change only near a wall."""
    low = paths.centres - paths.reach[:, None, :2]
    high = np.array([width, height]) - paths.centres - paths.reach[:, None, 2:]
    near = (np.minimum(low, high) <= _NEAR).any(axis=-1)  # [N, T]
    near[:, 1:] |= near[:, :-1]  # a change lies between a frame and the one before
    square = np.zeros(len(near))
    for axis in range(2):
        errors = unexplained(paths.centres[..., axis])
        allowed = partition(errors, PRICE) & near
        allowed[:, 0] = True
        for row, begins in enumerate(allowed):
            first = np.flatnonzero(begins)
            last = np.append(first[1:], near.shape[1]) - 1
            square[row] += errors[row, first, last].sum()
    return np.sqrt(square / near.shape[1])
