"""How far clouds of points are from those they should equal."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison


@dataclasses.dataclass(frozen=True)
class ChamferDistance(Comparison):
    """``chamfer``: squared distances of points from the nearest of the others, a mean each way.

    Fan et al. 2017 (1612.00603), equation 1, with means for sums; over all clouds. Only the first
    three numbers of a point count, its place.
    """

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"chamfer/v1/{self.field}"

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """The distance of each cloud ``[B]``."""
        pairs = zip(made, real, strict=True)
        return {"chamfer": np.array([_apart(a[:, :3], b[:, :3]) for a, b in pairs])}


def _apart(made: np.ndarray, real: np.ndarray) -> float:
    from scipy.spatial import KDTree

    there, back = KDTree(real).query(made)[0], KDTree(made).query(real)[0]
    return np.square(there).mean() + np.square(back).mean()
