"""What was done: a vector of controls."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.files import write_text
from mmjax.modalities.base import MediaError, Modality, require_positive
from mmjax.modalities.label import read_numbers
from mmjax.modalities.picture import bars
from mmjax.typing import Float, UInt8


@dataclasses.dataclass(frozen=True)
class Action(Modality):
    """A vector ``[size]`` without position.

    Attributes:
      size: numbers in the vector.
      low: their smallest value.
      high: their largest value.
    """

    size: int
    low: float | int = -1.0
    high: float | int = 1.0

    name: ClassVar[str] = "action"
    axes: ClassVar[tuple[str, ...]] = ("index",)
    dtype: ClassVar[type] = np.float32

    def __post_init__(self):
        require_positive(self, "size")

    @property
    def value_range(self) -> tuple[float, float]:
        """The smallest and largest value."""
        return float(self.low), float(self.high)

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers."""
        return (self.size,)

    @property
    def extent(self) -> tuple[float, ...]:
        """Numbers."""
        return (float(self.size),)

    def read(self, path: str) -> Float[np.ndarray, "A"]:
        """A text file of decimal numbers."""
        return self.parse(read_numbers(path, self.size), path)

    def parse(self, value: Any, where: str) -> Float[np.ndarray, "A"]:
        """A list of ``size`` finite numbers within the range."""
        try:
            array = np.array(value, np.float32)
        except (TypeError, ValueError) as error:
            raise MediaError(f"{where}: expected {self.size} numbers, got {value!r}") from error
        self.check(array, where)
        if not (np.isfinite(array) & (array >= self.low) & (array <= self.high)).all():
            raise MediaError(f"{where}: a number lies outside {self.low} to {self.high}")
        return array

    def save(self, path: str, array: Float[np.ndarray, "A"]) -> None:
        """A text file of the numbers, each with all its digits."""
        write_text(path, " ".join(repr(float(value)) for value in array) + "\n")

    def preview(self, array: Float[np.ndarray, "A"]) -> UInt8[np.ndarray, "H W 3"]:
        """One bar per number, up from the middle or down."""
        return bars(array, self.low, self.high)
