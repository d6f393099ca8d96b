"""Latents made beforehand: a source whose records hold ``<field>_latents`` in place of raw media.

A cache is a folder of ArrayRecord files with a manifest. The manifest tells how each field was
encoded, so that a model with another codec refuses it; the files appear whole, one by one, and the
cache counts as complete when the last of them is there.
"""

import dataclasses
import functools
import json
import operator
import os
import pathlib
from collections.abc import Mapping
from typing import Any, SupportsIndex

from mmjax.builder import constructor_fields
from mmjax.data.array_record import ArrayRecords
from mmjax.errors import UserError
from mmjax.files import write_text

_MANIFEST, _FORMAT = "manifest.json", 1
_ANY_CODEC = "mmjax.codecs.latents:Latents"  # takes the latents of whatever made them
_UNREADABLE = "unreadable"  # a record of only this field stands for one that could not be read


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How a field's latents are made.

    Attributes:
      modality: of the raw field.
      codec: what encodes it.
      shape: of one example's latents.
      before: the codec that prepares raw values for a learned ``codec``.
      weights: digest of a learned codec's parameters.
    """

    modality: Any
    codec: Any
    shape: tuple[int, ...]
    before: Any = None
    weights: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """The parts as plain values, see :func:`describe`."""
        return {name: describe(value) for name, value in vars(self).items()}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a cache holds, as plain values.

    Attributes:
      records: how many, unreadable ones included.
      per_file: records of each file but the last.
      fields: the facts of the :class:`Encoding` of each encoded field.
      source: where the records came from.
      format: of the folder.
    """

    records: int
    per_file: int
    fields: Mapping[str, Any]
    source: Any
    format: int = _FORMAT

    @property
    def files(self) -> list[str]:
        """The names of the files, in order."""
        count = -(-self.records // self.per_file)
        return [f"latents-{k:05d}-of-{count:05d}.array_record" for k in range(count)]

    def claim(self, folder: os.PathLike | str) -> None:
        """Begins a cache in ``folder``, or checks that it holds this very one.

        Raises:
          UserError: it holds another, named by the first fact that differs.
        """
        path = pathlib.Path(folder) / _MANIFEST
        if path.exists():
            there, here = dataclasses.asdict(read_manifest(folder)), dataclasses.asdict(self)
            if found := _difference(there, here):
                raise UserError(f"{folder}: holds another cache ({found}); choose another folder")
        write_text(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


@dataclasses.dataclass(frozen=True)
class Cached:
    """The records of a cache that ``mmjax data cache`` wrote.

    A record that could not be read when the cache was written cannot be read here either, so that
    training on the cache replaces the same records by the same others.

    Attributes:
      folder: of the cache.
      streams: the system's streams, against whose modalities and codecs the cache is checked.
    """

    folder: str
    streams: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        present = [name for name in self._manifest.files if os.path.exists(self._path(name))]
        missing = len(self._manifest.files) - len(present)
        if missing:
            raise UserError(
                f"{self.folder}: the cache lacks {missing} of {len(self._manifest.files)} files; "
                f"the same mmjax data cache command goes on with it"
            )
        for name, spec in self.streams.items():
            if spec.field in self._manifest.fields:
                self._check(name, spec)

    def __len__(self) -> int:
        return self._manifest.records

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self._records[operator.index(index)]
        if record.keys() == {_UNREADABLE}:
            raise UserError(record[_UNREADABLE])
        return record

    def __reduce__(self):
        # Reading processes need neither the checks nor the codecs.
        return Cached, (self.folder,)

    def name_of(self, index: int) -> str:
        """The folder and the record's number in it."""
        return self._records.name_of(index)

    def _check(self, name: str, spec: Any) -> None:
        """Refuses latents that are not those of a stream."""
        there = self._manifest.fields[spec.field]
        here = Encoding(spec.modality, spec.codec, spec.shape(1)[1:]).facts
        if spec.codec is not None and here["codec"]["class"] == _ANY_CODEC:
            there, here = ({k: facts[k] for k in ("modality", "shape")} for facts in (there, here))
        if found := _difference(there, here):
            raise UserError(
                f"{self.folder}: was encoded for another stream than {name!r} ({found}); "
                f"encode anew with mmjax data cache"
            )

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    @functools.cached_property
    def _manifest(self) -> Manifest:
        return read_manifest(self.folder)

    @functools.cached_property
    def _records(self) -> ArrayRecords:
        return ArrayRecords(self.folder)


def unreadable(reason: str) -> dict[str, str]:
    """The record that stands for one that could not be read."""
    return {_UNREADABLE: reason}


def read_manifest(folder: os.PathLike | str) -> Manifest:
    """The manifest of a cache.

    Raises:
      UserError: there is none, or it is not one of this format.
    """
    path = pathlib.Path(folder) / _MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**found)
    except FileNotFoundError as error:
        raise UserError(f"{folder}: is no cache (there is no {_MANIFEST})") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: is not the manifest of a cache ({error})") from error
    if manifest.format != _FORMAT:
        raise UserError(f"{path}: is of format {manifest.format}, this version reads {_FORMAT}")
    return manifest


def describe(part: Any) -> Any:
    """The class and the values of an object that a config described, for JSON."""
    if dataclasses.is_dataclass(part):
        cls = type(part)
        fields = {name: describe(getattr(part, name)) for name in constructor_fields(cls)}
        return {"class": f"{cls.__module__}:{cls.__qualname__}", **fields}
    if isinstance(part, Mapping):
        return {str(name): describe(value) for name, value in part.items()}
    if isinstance(part, (tuple, list)):
        return [describe(value) for value in part]
    return part if part is None or isinstance(part, (bool, int, float, str)) else repr(part)


def _difference(there: Any, here: Any, path: str = "") -> str | None:
    """The first value in which two trees of plain values differ, as a clause."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in sorted(there.keys() | here.keys()):
            place = f"{path}.{key}" if path else key
            if found := _difference(there.get(key), here.get(key), place):
                return found
        return None
    return f"{path} is {there!r} there and {here!r} here" if there != here else None
