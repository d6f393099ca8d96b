"""How a body moves: a row of features per frame."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.modalities.base import Modality, require_positive
from mmjax.modalities.picture import to_rgb
from mmjax.modalities.rows import parse_rows, read_rows, save_rows
from mmjax.typing import Float, UInt8

_LIMIT = 1e6  # the largest magnitude of a feature
_CELL = 4  # pixels a side of a feature in a picture


@dataclasses.dataclass(frozen=True)
class Motion(Modality):
    """Features ``[frames, features]`` of a moving body, standardised.

    HumanML3D's 263 (Guo et al. 2022, section 4) are, for 22 joints: the root's turning, its two
    velocities on the ground and its height, then the other joints' positions, rotations (six
    numbers each), all joints' velocities, and four contacts of the feet with the ground.

    Attributes:
      frames: frames of a clip.
      features: numbers per frame.
      fps: frames per second.
    """

    frames: int
    features: int = 263
    fps: float | int = 20.0

    name: ClassVar[str] = "motion"
    axes: ClassVar[tuple[str, ...]] = ("time",)
    dtype: ClassVar[type] = np.float32
    value_range: ClassVar[tuple[float, float]] = (-_LIMIT, _LIMIT)
    by_path: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("mmjax.evaluation.metrics.squared_error:SquaredError",)
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def __post_init__(self):
        require_positive(self, "frames", "features", "fps")

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, features."""
        return self.frames, self.features

    @property
    def extent(self) -> tuple[float, ...]:
        """Seconds."""
        return (self.frames / self.fps,)

    def read(self, path: str, start: float | int = 0.0) -> Float[np.ndarray, "T D"]:
        """The frames from ``start`` seconds on of a ``.npy`` file ``[frames, features]``.

        Nothing is unpickled.
        """
        found = read_rows(path)
        return self.parse(found[round(start * self.fps) :] if found.ndim else found, path)

    def parse(self, value: Any, where: str) -> Float[np.ndarray, "T D"]:
        """The first frames of an array of numbers ``[at least frames, features]``."""
        return parse_rows(self, value, where, "frames")

    def save(self, path: str, array: Float[np.ndarray, "T D"]) -> None:
        """A NumPy file."""
        save_rows(path, array)

    def preview(self, array: Float[np.ndarray, "T D"]) -> UInt8[np.ndarray, "H W 3"]:
        """A column per frame and a row per feature, from 3 deviations below (black) to above."""
        grey = np.clip((array.T + 3.0) / 6.0, 0.0, 1.0) * 255
        cells = np.round(grey).astype(np.uint8).repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        return to_rgb(cells[..., None])
