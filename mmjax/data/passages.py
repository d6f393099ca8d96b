"""Passages of running text, cut from the text files of a folder."""

import dataclasses
import functools
import importlib.resources
import operator
import pathlib
from typing import SupportsIndex

from mmjax.data.splits import check_split
from mmjax.errors import UserError

PACKAGE = "package:"
SUFFIXES = (".txt", ".md", ".rst")
_PERIOD = 10  # one passage in so many is held out


@dataclasses.dataclass(frozen=True)
class Passages:
    """Consecutive passages of at most ``size`` bytes each, in the files' alphabetical order.

    A record holds ``text``. Every tenth passage is the test split, the others are for training.

    Attributes:
      root: a folder, searched with its subfolders, or ``package:NAME`` for the text files that an
        installed package ships.
      split: ``"train"`` or ``"test"``.
      size: bytes of a passage in UTF-8; characters cut in two at its ends are left out.
    """

    root: str
    split: str
    size: int

    def __post_init__(self):
        check_split(self.split, "passages")
        if self.size < 1:
            raise UserError(f"passages of {self.size} bytes: size must be positive")
        if not self._chosen:
            raise UserError(
                f"{self.root}: holds no {self.split} passage of {self.size} bytes "
                f"(in {', '.join(SUFFIXES)} files)"
            )

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: SupportsIndex) -> dict[str, str]:
        start = self._chosen[operator.index(index)] * self.size
        return {"text": self._text[start : start + self.size].decode(errors="ignore")}

    @functools.cached_property
    def _chosen(self) -> list[int]:
        """The numbers of this split's passages; what is left at the end makes none."""
        numbers = range(len(self._text) // self.size)
        held_out = self.split == "test"
        return [n for n in numbers if (n % _PERIOD == _PERIOD - 1) == held_out]

    @functools.cached_property
    def _text(self) -> bytes:
        try:
            if self.root.startswith(PACKAGE):
                root = importlib.resources.files(self.root.removeprefix(PACKAGE))
            else:
                root = pathlib.Path(self.root)
            files = _files(root)
            return b"\n".join(file.read_bytes() for file in files)
        except (OSError, ModuleNotFoundError) as error:
            raise UserError(f"{self.root}: cannot be read ({error})") from error


def _files(folder) -> list:
    """The text files under a folder, alphabetically; hidden ones are left out."""
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            found += _files(entry)
        elif entry.name.endswith(SUFFIXES):
            found.append(entry)
    return found
