"""Records in ArrayRecord files, without pickle: random access at any size."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
import safetensors
import safetensors.numpy

from mmjax.data.bad_records import name_of
from mmjax.data.splits import place
from mmjax.errors import UserError
from mmjax.files import atomic, write_text
from mmjax.modalities.base import MediaError

_SUFFIX = ".array_record"
_FACTS = "facts.json"
_STRINGS = "__metadata__"  # where a safetensors header holds strings


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as safetensors bytes: arrays and numbers as tensors, strings as metadata.

    Raises:
      UserError: a value is neither.
    """
    arrays, strings = {}, {}
    for name, value in record.items():
        if isinstance(value, str):
            strings[name] = value
            continue
        array = np.array(value, order="C")
        if array.dtype.kind not in "biuf":
            raise UserError(f"record field {name!r}: {array.dtype} cannot be stored")
        arrays[name] = array
    return safetensors.numpy.save(arrays, strings or None)


def decode(data: bytes) -> dict[str, Any]:
    """The inverse of :func:`encode`; a ValueError where the bytes are not of it."""
    try:
        record: dict[str, Any] = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        return record | json.loads(data[8 : 8 + length]).get(_STRINGS, {})
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class ArrayRecords:
    """The records of one ``.array_record`` file, or of all in a folder in alphabetical order.

    :func:`write` makes them. A record whose checksum fails is a bad record.

    Attributes:
      path: of the file or the folder.
    """

    path: str

    def __post_init__(self):
        if not self._paths:
            raise UserError(f"{self.path}: no {_SUFFIX} file")
        len(self)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        index = place(self, index)
        try:
            return decode(self._records[index])
        except (ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise MediaError(f"{self.name_of(index)}: cannot be decoded ({reason})") from error

    def name_of(self, index: int) -> str:
        """The path and the record's number in it."""
        return f"{self.path}[{index}]"

    @functools.cached_property
    def facts(self) -> dict:
        """What the source that was written says about itself; sequences come back as tuples."""
        path = pathlib.Path(self._paths[0]).with_name(_FACTS)
        return _tuples(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    @functools.cached_property
    def _paths(self) -> list[str]:
        path = pathlib.Path(self.path)
        if path.is_dir():
            return sorted(str(p) for p in path.glob(f"*{_SUFFIX}") if not p.name.startswith("."))
        return [self.path] if path.is_file() else []

    @functools.cached_property
    def _records(self):
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        try:
            return ArrayRecordDataSource(self._paths)
        except (ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{self.path}: cannot be opened ({reason})") from error


def write(
    source: Any,
    folder: os.PathLike | str,
    *,
    per_file: int = 10_000,
    indices: Sequence[int] | None = None,
) -> list[tuple[str, str]]:
    """Writes a source's records as ArrayRecord files, with its facts beside them.

    Args:
      source: any source of records.
      folder: made if need be; each file appears when it is whole.
      per_file: records of a file.
      indices: of the records to write; None is all.

    Returns:
      The id and the reason of each record that could not be read and was left out.
    """
    chosen = range(len(source)) if indices is None else indices
    files = -(-len(chosen) // per_file)
    left_out: list[tuple[str, str]] = []
    for number in range(files):
        part = chosen[number * per_file : (number + 1) * per_file]
        path = pathlib.Path(folder) / f"records-{number:05d}-of-{files:05d}{_SUFFIX}"
        with new_file(path) as append:
            for index in part:
                try:
                    append(source[index])
                except UserError as error:
                    left_out.append((name_of(source, index), str(error)))
    if hasattr(source, "facts"):
        write_text(pathlib.Path(folder) / _FACTS, json.dumps(source.facts, indent=1))
    return left_out


@contextlib.contextmanager
def new_file(path: os.PathLike | str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yields a function that appends a record to a new file, which appears when it is whole."""
    from array_record.python.array_record_module import ArrayRecordWriter

    with atomic(path) as temporary:
        with _disk_errors():
            # One record a chunk: random access.
            writer = ArrayRecordWriter(str(temporary), "group_size:1")

        def append(record: Mapping[str, Any]) -> None:
            data = encode(record)
            with _disk_errors():
                writer.write(data)

        yield append
        with _disk_errors():
            writer.close()


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """What the library makes of a full disk as the OSError that it is."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error).partition(";")[0]) from error


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
