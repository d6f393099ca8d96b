"""Whether points are known to be inside a shape or outside."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison

_INSIDE = 0.5  # from here on an answer is taken for yes


@dataclasses.dataclass(frozen=True)
class Occupancy(Comparison):
    """Answers about points, whose fourth number is 1 inside a shape and 0 outside, or a chance.

    * ``right``: the share of answers that are right, a mean over shapes;
    * ``iou``: of points inside by either side, the share that both call so, a mean over shapes
      (Mescheder et al. 2019, 1812.03828, section 4); 1 for a shape that neither finds a point in.
    """

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"occupancy/v1/{self.field}"

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """Both figures of each shape ``[B]``."""
        found, true = made[..., 3] >= _INSIDE, real[..., 3] >= _INSIDE
        both, either = (found & true).sum(axis=1), (found | true).sum(axis=1)
        iou = np.divide(both, either, out=np.ones(len(both)), where=either > 0)
        return {"right": (found == true).mean(axis=1), "iou": iou}
