"""What raw data of one kind is: its shape, its units, how it is read, written and shown."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Float, UInt8


class MediaError(UserError):
    """A file that cannot serve as the medium asked for; the line names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class Modality(abc.ABC):
    """The raw facts of one kind of data, declared once; everything else is derived from them.

    Class attributes:
      name: the word used in configs and messages.
      axes: the names of the position axes.
      dtype: of the raw array.
      value_range: the smallest and largest legal raw value.
      suffixes: of files that :meth:`read` takes, the first preferred.
      by_path: whether a manifest names a file of it, rather than holding the value.
      metrics: import paths of the metrics that judge what should be equal to it, by default. They
        take the name of its ``field`` and of its own facts what they name.
    """

    name: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    dtype: ClassVar[type]
    value_range: ClassVar[tuple[float, float]]
    suffixes: ClassVar[tuple[str, ...]] = ()
    by_path: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ()

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the raw array, without a batch axis."""

    @property
    @abc.abstractmethod
    def extent(self) -> tuple[float, ...]:
        """The length of each position axis in its unit (seconds, pixels, index)."""

    @abc.abstractmethod
    def read(self, path: str) -> Any:
        """The file's content fitted to the declared facts, or a :class:`MediaError`."""

    @abc.abstractmethod
    def parse(self, value: Any, where: str) -> Any:
        """A value of another library or a manifest fitted to the declared facts.

        Raises:
          MediaError: it is of another kind; the line begins with ``where``.
        """

    @abc.abstractmethod
    def save(self, path: str, array: Any) -> None:
        """Writes raw data as a file; a disk that is full is a :class:`UserError`."""

    @abc.abstractmethod
    def preview(self, array: Any) -> UInt8[np.ndarray, "H W 3"]:
        """A picture for people."""

    def spec(self):
        """The raw array's ``jax.ShapeDtypeStruct``, without a batch axis."""
        import jax

        return jax.ShapeDtypeStruct(self.shape, self.dtype)

    def check(self, array: Any, where: str) -> None:
        """Refuses an array of another shape or dtype, or with NaN; ``where`` names it."""
        found = getattr(array, "dtype", type(array).__name__), np.shape(array)
        if found != (np.dtype(self.dtype), self.shape):
            raise MediaError(
                f"{where}: expected {np.dtype(self.dtype)} {list(self.shape)}, "
                f"got {found[0]} {list(found[1])}"
            )
        require_finite(array, where)

    def positions(self, grid: Sequence[int]) -> Float[np.ndarray, "*grid A"]:
        """The centres of latent cells that divide each axis evenly, in the axes' units.

        An index counts from 0 at the centre of the first entry. A grid of no axes is a single
        cell over everything.
        """
        if len(grid) not in (0, len(self.axes)):
            raise ValueError(f"{self.name} has axes {self.axes}, so a grid {tuple(grid)} has none")
        sizes = tuple(grid) or (1,) * len(self.axes)
        centres = [
            (np.arange(size) + 0.5) * length / size - (0.5 if axis == "index" else 0)
            for axis, size, length in zip(self.axes, sizes, self.extent, strict=True)
        ]
        mesh = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)
        return mesh.reshape(*grid, len(self.axes)).astype(np.float32)


def require_finite(array: Any, where: str) -> None:
    """Refuses floats with NaN or infinity among them."""
    array = np.asarray(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise MediaError(f"{where}: holds values that are not finite")


def require_pixels(value: Any, rank: int, where: str) -> UInt8[np.ndarray, "*axes C"]:
    """Refuses what is not an array of grey or RGB bytes with ``rank`` axes."""
    array = np.asarray(value)
    if array.dtype != np.uint8 or array.ndim != rank or 0 in array.shape:
        found = f"{array.dtype} {list(array.shape)}"
        raise MediaError(f"{where}: expected uint8 pixels with {rank} axes, got {found}")
    if array.shape[-1] not in (1, 3):
        raise MediaError(f"{where}: expected 1 or 3 channels, got {array.shape[-1]}")
    return array


def require_positive(owner: Any, *fields: str) -> None:
    """Refuses fields that are not positive finite numbers."""
    for field in fields:
        value = getattr(owner, field)
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{type(owner).__name__}.{field} must be positive, got {value!r}")


def require_one_of(owner: Any, field: str, options: tuple) -> None:
    """Refuses a field that is none of ``options``."""
    value = getattr(owner, field)
    if value not in options:
        allowed = " or ".join(map(str, options))
        raise UserError(f"{type(owner).__name__}.{field} must be {allowed}, got {value!r}")
