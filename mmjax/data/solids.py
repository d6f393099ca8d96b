"""Made shapes whose inside is known: ellipsoids, boxes and rings, turned any way."""

import dataclasses
from typing import SupportsIndex

import numpy as np

from mmjax.data.splits import SPLITS, check_split, place
from mmjax.errors import UserError
from mmjax.typing import Bool, Float

KINDS = ("ellipsoid", "box", "ring")
_LENGTHS = {"train": 100_000, "test": 1_000}
_BLUR = 0.05  # deviation of the queries that lie near the surface


@dataclasses.dataclass(frozen=True)
class Solids:
    """Solids within the ball of radius 1, each record a pure function of (seed, split, index).

    A record holds ``surface`` float32 ``[points, 3]``, points of the surface; ``queries`` float32
    ``[asked, 4]``, half of them evenly from [-1, 1]^3 and half near the surface, each with 1 inside
    and 0 outside; and ``label`` int32, the index into ``KINDS``.

    Attributes:
      split: ``"train"`` or ``"test"``.
      points: of the surface.
      asked: how many queries, an even number.
      seed: chooses the solids.
    """

    split: str
    points: int = 2048
    asked: int = 2048
    seed: int = 0

    def __post_init__(self):
        check_split(self.split, "solids")
        if self.points < 1 or self.asked < 2 or self.asked % 2:
            raise UserError(f"solids: points={self.points} of >= 1, asked={self.asked} even, >= 2")

    def __len__(self) -> int:
        return _LENGTHS[self.split]

    def __getitem__(self, index: SupportsIndex) -> dict:
        index = place(self, index)
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), index))
        kind = int(rng.integers(len(KINDS)))
        sizes = rng.uniform(0.2, 0.5, 3)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        half = self.asked // 2
        near = on_surface(KINDS[kind], sizes, half, rng) + rng.normal(size=(half, 3)) * _BLUR
        asked = np.concatenate([rng.uniform(-1, 1, (half, 3)) @ turn, near])
        answers = inside(KINDS[kind], sizes, asked)
        surface = on_surface(KINDS[kind], sizes, self.points, rng)
        queries = np.concatenate([asked @ turn.T, answers[:, None]], axis=1)
        return {
            "surface": (surface @ turn.T).astype(np.float32),
            "queries": queries.astype(np.float32),
            "label": np.int32(kind),
        }


def inside(
    kind: str, sizes: Float[np.ndarray, "3"], points: Float[np.ndarray, "N 3"]
) -> Bool[np.ndarray, "N"]:
    """Whether points are inside a solid that is not turned.

    ``sizes`` are half the axes of an ellipsoid or a box; of a ring the first is half of its
    thickness and the second what its radius has beyond that.
    """
    if kind == "ellipsoid":
        return np.square(points / sizes).sum(1) < 1
    if kind == "box":
        return (np.abs(points) < sizes).all(1)
    thick, radius = _ring(sizes)
    return np.hypot(np.hypot(points[:, 0], points[:, 2]) - radius, points[:, 1]) < thick


def on_surface(
    kind: str, sizes: Float[np.ndarray, "3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Points of the surface of such a solid; of ellipsoids and rings not evenly spread."""
    way = rng.normal(size=(count, 3))
    if kind == "ellipsoid":
        return sizes * way / np.linalg.norm(way, axis=1, keepdims=True)
    if kind == "box":
        area = np.prod(sizes) / sizes
        face = rng.choice(3, count, p=area / area.sum())
        points = rng.uniform(-1, 1, (count, 3))
        points[np.arange(count), face] = np.sign(way[:, 0])
        return sizes * points
    thick, radius = _ring(sizes)
    round_, across = rng.uniform(0, 2 * np.pi, (2, count))
    reach = radius + thick * np.cos(across)
    return np.stack([reach * np.cos(round_), thick * np.sin(across), reach * np.sin(round_)], 1)


def _ring(sizes: Float[np.ndarray, "3"]) -> tuple[float, float]:
    """Half the thickness and the radius of a ring."""
    thick = sizes[0] / 2
    return thick, thick + sizes[1]
