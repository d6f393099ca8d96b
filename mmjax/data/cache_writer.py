"""Writing a cache of latents: whole files only, so that an interrupted one goes on."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import numpy as np

from mmjax.data.array_record import new_file
from mmjax.data.bad_records import BadRecords, name_of
from mmjax.data.cache import Encoding, Manifest, describe, unreadable
from mmjax.data.pipeline import read_ahead
from mmjax.data.transforms import Fields, stack
from mmjax.errors import UserError

# Raw arrays by field to latents by field, [B, ...] each; always called with equal shapes.
Encode = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
Watch = Callable[[int, int], None]  # called with the records done and their number

_FEWEST = 64  # records, of which a share is taken before as many have been read


@dataclasses.dataclass(frozen=True)
class CacheWriter:
    """Encodes some fields of every record of a source and keeps the other fields as they are.

    An unreadable record keeps its place, by a record that says why.

    Attributes:
      source: any source of records.
      encodings: how each field is encoded.
      encode: does it, a batch at a time.
      count: encode the first ``count`` records; None is all.
      batch_size: records encoded at once.
      per_file: records of a file.
      workers: reading processes; 0 reads in threads of this one.
      max_bad_share: of unreadable records, past which the writing stops.
    """

    source: Any
    encodings: Mapping[str, Encoding]
    encode: Encode
    count: int | None = None
    batch_size: int = 32
    per_file: int = 1024
    workers: int = 0
    max_bad_share: float = 0.25

    @property
    def manifest(self) -> Manifest:
        """What the cache will hold."""
        records = len(self.source) if self.count is None else min(self.count, len(self.source))
        if not records:
            raise UserError(f"{type(self.source).__name__}: the source holds no records")
        fields = {name: encoding.facts for name, encoding in self.encodings.items()}
        return Manifest(records, self.per_file, fields, describe(self.source))

    def write(self, folder: os.PathLike | str, watch: Watch | None = None) -> dict[str, str]:
        """Writes the files that are not there yet.

        Returns:
          The id and the reason of each record that could not be read, also listed in the folder.

        Raises:
          UserError: the folder holds another cache or cannot be written, or too many records
            cannot be read.
        """
        folder, manifest = pathlib.Path(folder), self.manifest
        manifest.claim(folder)
        for leftover in folder.glob(".latents-*"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        bad = BadRecords(folder / "bad_records.jsonl")
        for number, name in enumerate(manifest.files):
            start = number * self.per_file
            indices = range(start, min(start + self.per_file, manifest.records))
            if not (folder / name).exists():
                with contextlib.closing(self._write_file(folder / name, indices, bad)) as progress:
                    for done in progress:
                        bad.require_few(self.max_bad_share, self._seen(done, manifest.records))
                        if watch is not None:
                            watch(done, manifest.records)
            if watch is not None:
                watch(indices.stop, manifest.records)
        return bad.poll()

    def _write_file(self, path: pathlib.Path, indices: range, bad: BadRecords) -> Iterator[int]:
        """Writes one file; yields the index up to which records are written, chunk by chunk."""
        reader = _Reader(self.source, Fields(self._modalities, {}), bad)
        elements = grain.MapDataset.range(indices.start, indices.stop).map(reader)
        records = read_ahead(elements, self.batch_size, self.workers)
        with contextlib.closing(records), new_file(path) as append:
            for start in range(indices.start, indices.stop, self.batch_size):
                chunk = list(itertools.islice(records, self.batch_size))
                for record in self._encoded(chunk):
                    append(record)
                yield start + len(chunk)

    def _seen(self, done: int, records: int) -> int:
        """How many records were read when ``done`` are written, for the share of bad ones."""
        return min(records, max(done + self.batch_size * (1 + self.workers), _FEWEST))

    def _encoded(self, chunk: list["_Read"]) -> Iterator[Mapping[str, Any]]:
        """The chunk's records with latents in place of raw fields."""
        rows = [read.raw for read in chunk if read.raw is not None]
        if rows:
            full = rows + rows[-1:] * (self.batch_size - len(rows))  # one shape, one compilation
            latents = self.encode(stack(full))
        place = 0
        for read in chunk:
            if read.raw is None:
                yield read.rest
                continue
            made = {f"{name}_latents": values[place] for name, values in latents.items()}
            yield {**read.rest, **made}
            place += 1

    @property
    def _modalities(self) -> dict[str, Any]:
        return {name: encoding.modality for name, encoding in self.encodings.items()}


@dataclasses.dataclass(frozen=True)
class _Read:
    """A record split into the raw fields to encode and the rest; None where it is unreadable."""

    raw: Mapping[str, Any] | None
    rest: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class _Reader:
    """The function index -> split record, which Grain sends to its workers."""

    source: Any
    fields: Fields
    bad: BadRecords

    def __call__(self, index: int) -> _Read:
        index = int(index)
        try:
            record = self.source[index]
            raw = self.fields(record)
        except UserError as error:
            self.bad.add(name_of(self.source, index), str(error))
            return _Read(None, unreadable(str(error)))
        return _Read(raw, {name: value for name, value in record.items() if name not in raw})
