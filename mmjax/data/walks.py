"""Made motion: people who walk straight on or turn, in HumanML3D's features."""

import dataclasses
import functools
from typing import SupportsIndex

import numpy as np

from mmjax.data.splits import SPLITS, check_split, place
from mmjax.errors import UserError
from mmjax.typing import Float

FPS = 20.0
FEATURES = 263
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
FEET = (7, 10, 8, 11)  # left ankle and toes, right ankle and toes
# Each joint from its parent in metres: x to the left, y up, z ahead.
_BONES = np.array([
    (0, 0, 0), (0.07, -0.08, 0), (-0.07, -0.08, 0), (0, 0.11, 0), (0.03, -0.38, 0),
    (-0.03, -0.38, 0), (0, 0.14, 0), (0, -0.4, -0.03), (0, -0.4, -0.03), (0, 0.06, 0),
    (0, -0.06, 0.13), (0, -0.06, 0.13), (0, 0.21, 0), (0.08, 0.12, 0), (-0.08, 0.12, 0),
    (0, 0.09, 0.04), (0.11, 0.03, 0), (-0.11, 0.03, 0), (0, -0.26, 0), (0, -0.26, 0),
    (0, -0.25, 0), (0, -0.25, 0),
])  # fmt: skip
_STILL = 0.02  # metres per frame below which a foot stands
_LENGTHS = {"train": 100_000, "test": 1_000}
_MEASURED = 64  # clips that mean and deviation are taken from


@dataclasses.dataclass(frozen=True)
class Walks:
    """Walking bodies of 22 joints, each record a pure function of (seed, split, index).

    A record holds ``motion`` float32 ``[frames, 263]``, standardised feature by feature, and its
    ``text``.

    Attributes:
      split: ``"train"`` or ``"test"``.
      frames: frames of a clip at 20 per second.
      seed: chooses the clips.
    """

    split: str
    frames: int = 64
    seed: int = 0

    def __post_init__(self):
        check_split(self.split, "walks")
        if self.frames < 1:
            raise UserError(f"walks of {self.frames} frames: frames must be positive")

    def __len__(self) -> int:
        return _LENGTHS[self.split]

    def __getitem__(self, index: SupportsIndex) -> dict:
        index = place(self, index)
        gait = _draw(np.random.default_rng((self.seed, SPLITS.index(self.split), index)))
        mean, deviation = _moments()
        motion = (features(*pose(gait, self.frames + 1)) - mean) / deviation
        return {"motion": motion.astype(np.float32), "text": gait.caption}


@dataclasses.dataclass(frozen=True)
class Gait:
    """How somebody walks.

    Attributes:
      speed: metres per second.
      turning: radians per second, to the left.
      swing: of the arms, in radians.
      phase: of the stride at the first frame, in radians.
    """

    speed: float
    turning: float
    swing: float
    phase: float

    @property
    def caption(self) -> str:
        """What it looks like, in words."""
        pace = "slowly" if self.speed < 0.8 else "quickly" if self.speed > 1.2 else "along"
        if abs(self.turning) < 0.2:
            return f"a person walks {pace} straight on"
        return f"a person walks {pace} and turns {'left' if self.turning > 0 else 'right'}"


def pose(gait: Gait, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Headings ``[T]``, joints in the room ``[T, 22, 3]``, local rotations ``[T, 22, 3, 3]``."""
    times = np.arange(frames) / FPS
    stride = gait.phase + 2 * np.pi * (0.6 + 0.4 * gait.speed) * times
    pitch = np.zeros((frames, len(PARENTS)))
    for left, leg, arm in ((1, 1, 16), (-1, 2, 17)):
        pitch[:, leg] = -left * 0.45 * gait.speed * np.sin(stride)
        pitch[:, leg + 3] = 0.5 * np.maximum(0.0, left * np.cos(stride))
        pitch[:, arm] = left * gait.swing * np.sin(stride)
        pitch[:, arm + 2] = -0.3 - 0.2 * gait.swing
    local = _about_x(pitch)
    joints, turned = np.zeros((frames, len(PARENTS), 3)), local.copy()
    for joint, parent in enumerate(PARENTS[1:], 1):
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ _BONES[joint]
        turned[:, joint] = turned[:, parent] @ local[:, joint]
    heading = gait.turning * times
    step = gait.speed / FPS * np.stack([np.sin(heading), 0 * heading, np.cos(heading)], -1)
    place = np.cumsum(step, axis=0) - step
    place[:, 1] = -joints[..., 1].min(axis=1)  # the lowest foot stands on the ground
    return heading, _about_y(heading, joints) + place[:, None], local


def features(
    heading: Float[np.ndarray, "T"],
    joints: Float[np.ndarray, "T J 3"],
    local: Float[np.ndarray, "T J 3 3"],
) -> Float[np.ndarray, "N D"]:
    """HumanML3D's features of all frames but the last; see ``Motion``."""
    moved = _about_y(-heading[:-1], np.diff(joints, axis=0))
    root = joints[:-1, :1]
    seen = _about_y(-heading[:-1], (joints[:-1] - root) * (1, 0, 1)) + joints[:-1] * (0, 1, 0)
    contact = np.linalg.norm(moved[:, FEET], axis=-1) < _STILL
    parts = (
        np.diff(heading)[:, None], moved[:, 0, ::2], root[:, 0, 1:2], seen[:, 1:],
        local[:-1, 1:, :, :2], moved, contact,
    )  # fmt: skip
    return np.concatenate([part.reshape(len(moved), -1) for part in parts], axis=1)


def _draw(rng: np.random.Generator) -> Gait:
    low, high = (0.5, -0.8, 0.1, 0.0), (1.5, 0.8, 0.7, 2 * np.pi)
    return Gait(*rng.uniform(low, high).tolist())


@functools.cache
def _moments() -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each feature; one that never changes keeps its scale."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([features(*pose(_draw(rng), 65)) for _ in range(_MEASURED)])
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 1e-6, deviation, 1.0)


def _about_x(angles: Float[np.ndarray, "T J"]) -> Float[np.ndarray, "T J 3 3"]:
    """Rotation matrices that lean forward."""
    zero, one, cos, sin = 0 * angles, 0 * angles + 1, np.cos(angles), np.sin(angles)
    rows = (one, zero, zero), (zero, cos, -sin), (zero, sin, cos)
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _about_y(
    angles: Float[np.ndarray, "T"], vectors: Float[np.ndarray, "T J 3"]
) -> Float[np.ndarray, "T J 3"]:
    """Vectors turned to the left."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)
