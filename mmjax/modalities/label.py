"""A class."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.files import write_text
from mmjax.modalities.base import MediaError, Modality, require_positive
from mmjax.modalities.picture import written
from mmjax.typing import Int, UInt8


@dataclasses.dataclass(frozen=True)
class Label(Modality):
    """A class as an integer without axes.

    Attributes:
      classes: how many there are.
    """

    classes: int

    name: ClassVar[str] = "label"
    axes: ClassVar[tuple[str, ...]] = ("index",)
    dtype: ClassVar[type] = np.int32
    metrics: ClassVar[tuple[str, ...]] = ("mmjax.evaluation.metrics.agreement:Agreement",)

    def __post_init__(self):
        require_positive(self, "classes")

    @property
    def value_range(self) -> tuple[float, float]:
        """The first and the last class."""
        return 0.0, float(self.classes - 1)

    @property
    def vocabulary(self) -> int:
        """The number of classes."""
        return self.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """A scalar."""
        return ()

    @property
    def extent(self) -> tuple[float, ...]:
        """One."""
        return (1.0,)

    def read(self, path: str) -> Int[np.ndarray, ""]:
        """A file that holds the class as a decimal number."""
        return self.parse(read_numbers(path, 1)[0], path)

    def parse(self, value: Any, where: str) -> Int[np.ndarray, ""]:
        """A whole number of ``range(classes)``."""
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer)):
            raise MediaError(f"{where}: expected a class, got {value!r}")
        if value != int(value) or not 0 <= value < self.classes:
            raise MediaError(f"{where}: class {value:g} is not one of 0 to {self.classes - 1}")
        return np.array(int(value), np.int32)

    def save(self, path: str, array: Int[np.ndarray, ""]) -> None:
        """A text file with the number."""
        write_text(path, f"{int(array)}\n")

    def preview(self, array: Int[np.ndarray, ""]) -> UInt8[np.ndarray, "H W 3"]:
        """The number, written."""
        return written(f"class {int(array)}")


def read_numbers(path: str, count: int) -> list[float]:
    """The ``count`` decimal numbers, separated by blanks, that a text file holds."""
    try:
        with open(path, encoding="utf-8") as file:
            words = file.read(64 * count + 1).split()
        numbers = [float(word) for word in words]
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise MediaError(f"{path}: expected numbers ({error})") from error
    if len(numbers) != count:
        raise MediaError(f"{path}: expected {count} numbers, got {len(numbers)}")
    return numbers
