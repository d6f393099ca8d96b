"""How near rows of features come to those they should equal."""

import dataclasses
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class SquaredError:
    """``rmse``: the root of the mean squared difference, over all clips and values together.

    Attributes:
      field: the one judged.
    """

    field: str

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"squared_error/v1/{self.field}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """The mean square of each clip ``[B]``; nothing where the field is not there."""
        if self.field not in media or self.field not in truth:
            return {}
        apart = np.asarray(media[self.field], np.float64) - truth[self.field]
        return {"square": np.square(apart).mean(axis=tuple(range(1, apart.ndim)))}

    def compute(self, features: Arrays) -> dict[str, float]:
        """The root of the mean."""
        return {"rmse": float(np.sqrt(features["square"].mean()))} if features else {}
