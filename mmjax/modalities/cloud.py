"""Points in space."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.modalities.base import Modality, require_positive
from mmjax.modalities.picture import to_rgb
from mmjax.modalities.rows import parse_rows, read_rows, save_rows
from mmjax.typing import Float, UInt8

_LIMIT = 1e6  # the largest magnitude of a number
_SIDE = 192  # pixels of a view


@dataclasses.dataclass(frozen=True)
class Cloud(Modality):
    """Points ``[points, features]`` of a shape that fits in [-1, 1]^3.

    Attributes:
      points: how many.
      features: numbers of a point; the first three are its place, y up.
    """

    points: int
    features: int = 3

    name: ClassVar[str] = "cloud"
    axes: ClassVar[tuple[str, ...]] = ("index",)
    dtype: ClassVar[type] = np.float32
    value_range: ClassVar[tuple[float, float]] = (-_LIMIT, _LIMIT)
    by_path: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("mmjax.evaluation.metrics.chamfer:ChamferDistance",)
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def __post_init__(self):
        require_positive(self, "points", "features")

    @property
    def shape(self) -> tuple[int, ...]:
        """Points, features."""
        return self.points, self.features

    @property
    def extent(self) -> tuple[float, ...]:
        """Points."""
        return (float(self.points),)

    def read(self, path: str) -> Float[np.ndarray, "N C"]:
        """The first points of a ``.npy`` file ``[points, features]``; nothing is unpickled."""
        return self.parse(read_rows(path), path)

    def parse(self, value: Any, where: str) -> Float[np.ndarray, "N C"]:
        """The first points of an array of numbers ``[at least points, features]``."""
        return parse_rows(self, value, where, "points")

    def save(self, path: str, array: Float[np.ndarray, "N C"]) -> None:
        """A NumPy file."""
        save_rows(path, array)

    def preview(self, array: Float[np.ndarray, "N C"]) -> UInt8[np.ndarray, "H W 3"]:
        """Views from the front, the side and above, where a point is dark."""
        views = []
        for across, up in ((0, 1), (2, 1), (0, 2)):
            view = np.full((_SIDE, _SIDE), 250, np.uint8)
            place = np.clip((array[:, [across, up]] + 1) / 2, 0, 1) * (_SIDE - 1)
            column, row = np.round(place).astype(int).T
            view[_SIDE - 1 - row, column] = 30
            views.append(view)
        return to_rgb(np.concatenate(views, axis=1)[..., None])
