"""Whether classes are those they should be."""

import dataclasses

import numpy as np

from mmjax.evaluation.metrics.comparison import Comparison


@dataclasses.dataclass(frozen=True)
class Agreement(Comparison):
    """``accuracy``: the share of values that are equal, over all clips and places."""

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"agreement/v1/{self.field}"

    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """The share of each clip ``[B]``."""
        equal = np.asarray(made) == np.asarray(real)
        return {"accuracy": equal.reshape(len(equal), -1).mean(axis=1)}
