"""What metrics share that hold one field of clips against what it should be."""

import abc
import dataclasses
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Comparison(abc.ABC):
    """A metric of pairs of clips; without either side it has nothing to say.

    Attributes:
      field: the one judged.
    """

    field: str

    @property
    @abc.abstractmethod
    def spec_id(self) -> str:
        """What the figures depend on."""

    @abc.abstractmethod
    def compare(self, made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
        """Features ``[B, ...]`` of each pair of clips."""

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Features of each clip, leading axis B; nothing where the field is not there."""
        if self.field not in media or self.field not in truth:
            return {}
        return self.compare(media[self.field], truth[self.field])

    def compute(self, features: Arrays) -> dict[str, float]:
        """The mean of each feature."""
        return {name: float(values.mean()) for name, values in features.items()}
