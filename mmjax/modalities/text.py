"""Text: a string until a host codec makes token ids of it."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mmjax.files import write_text
from mmjax.modalities.base import MediaError, Modality, require_positive
from mmjax.modalities.picture import written
from mmjax.typing import UInt8

_MOST_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Text(Modality):
    """Token ids ``[length]``, which a host codec makes of a string.

    Files, manifests, previews and saving deal in the string itself.

    Attributes:
      length: tokens, padding included.
    """

    length: int

    name: ClassVar[str] = "text"
    axes: ClassVar[tuple[str, ...]] = ("index",)
    dtype: ClassVar[type] = np.int32
    value_range: ClassVar[tuple[float, float]] = (0.0, 2.0**31 - 1)
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def __post_init__(self):
        require_positive(self, "length")

    @property
    def shape(self) -> tuple[int, ...]:
        """Tokens."""
        return (self.length,)

    @property
    def extent(self) -> tuple[float, ...]:
        """Tokens."""
        return (float(self.length),)

    def read(self, path: str) -> str:
        """A UTF-8 file's text on one line, without blanks at its ends."""
        try:
            with open(path, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise MediaError(f"{path}: is not UTF-8 text (byte {error.start})") from error
        if len(data) > _MOST_BYTES:
            raise MediaError(f"{path}: has more than the {_MOST_BYTES} bytes allowed")
        return self.parse(" ".join(text.split()), path)

    def parse(self, value: Any, where: str) -> str:
        """A string that is not blank."""
        if not isinstance(value, str):
            raise MediaError(f"{where}: expected text, got {value!r}")
        if not value.strip():
            raise MediaError(f"{where}: the text is blank")
        return value

    def save(self, path: str, array: str) -> None:
        """A UTF-8 file with one line."""
        write_text(path, array + "\n")

    def preview(self, array: str) -> UInt8[np.ndarray, "H W 3"]:
        """The words, wrapped."""
        return written(array)
