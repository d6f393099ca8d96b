"""How near rows of features come to those they should equal."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison


@dataclasses.dataclass(frozen=True)
class SquaredError(Comparison):
    """``rmse``: the root of the mean squared difference, over all clips and values together."""

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"squared_error/v1/{self.field}"

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """The mean square of each clip ``[B]``."""
        apart = np.asarray(made, np.float64) - real
        return {"square": np.square(apart).mean(axis=tuple(range(1, apart.ndim)))}

    def compute(self, features: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The root of the mean."""
        return {"rmse": float(np.sqrt(features["square"].mean()))} if features else {}
