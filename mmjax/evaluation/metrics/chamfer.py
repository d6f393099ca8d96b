"""How far clouds of points are from those they should equal."""

import dataclasses
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ChamferDistance:
    """``chamfer``: squared distances of points from the nearest of the others, a mean each way.

    Fan et al. 2017 (1612.00603), equation 1, with means for sums; over all clouds. Only the first
    three numbers of a point count, its place.

    Attributes:
      field: the one judged.
    """

    field: str

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"chamfer/v1/{self.field}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """The distance of each cloud ``[B]``; nothing where the field is not there."""
        if self.field not in media or self.field not in truth:
            return {}
        pairs = zip(media[self.field], truth[self.field], strict=True)
        return {"chamfer": np.array([_apart(made[:, :3], real[:, :3]) for made, real in pairs])}

    def compute(self, features: Arrays) -> dict[str, float]:
        """The mean."""
        return {name: float(values.mean()) for name, values in features.items()}


def _apart(made: np.ndarray, real: np.ndarray) -> float:
    from scipy.spatial import KDTree

    there, back = KDTree(real).query(made)[0], KDTree(made).query(real)[0]
    return np.square(there).mean() + np.square(back).mean()
