"""A manifest: one JSON object per line."""

import dataclasses
import functools
import json
import operator
import os
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from mmjax.data.media import read_values
from mmjax.errors import UserError
from mmjax.modalities.base import MediaError, Modality

_MOST_BYTES = 2**20  # of a line


@dataclasses.dataclass(frozen=True)
class Jsonl:
    """Records of a JSON-lines manifest, such as
    ``{"video": "a.mp4", "start": 3.5, "text": "a seven bounces", "label": 7}``.

    Files are named relative to the manifest and cannot lie outside its folder. Film and sound may
    share a file. A line that is no JSON object, names no readable file or lacks a field is a bad
    record, named by its number; other fields than the modalities' stay as they are.

    Attributes:
      path: of the manifest.
      modalities: by field; by default those of the config.
    """

    path: str
    modalities: Mapping[str, Modality]

    def __post_init__(self):
        if not len(self._starts):
            raise UserError(f"{self.path}: the manifest holds no lines")

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        index = operator.index(index)
        where = self.name_of(index)
        with open(self.path, "rb") as file:
            file.seek(self._starts[index])
            line = file.readline(_MOST_BYTES + 1)
        values = parse_line(line, where)
        return read_values(self.modalities, values, os.path.dirname(self.path) or ".", where)

    def name_of(self, index: int) -> str:
        """The manifest and the line's number."""
        return f"{self.path}:{self._numbers[index]}"

    @property
    def _starts(self) -> np.ndarray:
        return self._lines[0]

    @property
    def _numbers(self) -> np.ndarray:
        return self._lines[1]

    @functools.cached_property
    def _lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each line that is not blank starts, in bytes, and its number from 1."""
        starts, numbers, place = [], [], 0
        try:
            with open(self.path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        starts.append(place)
                        numbers.append(number)
                    place += len(line)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror})") from error
        return np.array(starts, np.int64), np.array(numbers, np.int64)


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    """The JSON object on a line; anything else is a MediaError that begins with ``where``."""
    if len(line) > _MOST_BYTES:
        raise MediaError(f"{where}: is longer than {_MOST_BYTES} bytes")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MediaError(f"{where}: is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise MediaError(f"{where}: expected an object in braces, got {type(values).__name__}")
    return values
