"""Batches as a pure function of (seed, step): nothing to save, nothing to lose on resuming."""

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags

from mmjax.data.bad_records import BadRecords, name_of, replacement
from mmjax.data.mixture import Mixture
from mmjax.data.transforms import stack
from mmjax.errors import UserError

# Grain's worker processes read absl flags, which nobody parses when mmjax is used as a library.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()

_THREADS, _AHEAD = 2, 4  # reading threads of a process, and batches it keeps ready
_SMALL = 2**16  # records, up to which a permutation in memory beats Grain's walk over 2**16 indices
_FEWEST = 64  # records, of which a share is taken before as many have been read
_ATTEMPTS = 16  # replacements in a row, after which the data as a whole is taken to be wrong


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Shuffles a source anew each epoch and groups it into batches.

    Row ``r`` of batch ``s`` is example ``s * batch_size + r`` of an endless sequence that depends
    on the seed alone, so batches are the same for any number of workers and processes, and a run
    that goes on at step ``s`` asks for batch ``s``. A record whose reading or transform ends in a
    UserError is replaced in its slot by one that depends on (seed, epoch, index, attempt); all
    other slots stay as they are.

    Attributes:
      source: ``len(source)`` records, by index; a :class:`Mixture` is drawn by its weights.
      transform: record to arrays.
      batch_size: examples of the global batch.
      seed: of the order; a stage of training uses its own.
      shuffle: False reads the source in its own order, for evaluation.
      workers: reading processes; 0 reads in threads of this one.
      rows: which rows of the global batch this host reads, first and past the last; None for all.
      bad_records: file that lists the records which were replaced; each process of a run that
        spans hosts has its own. None: a temporary file.
      max_bad_share: of the records, past which the run stops.
    """

    source: Any
    transform: Callable[[Any], Mapping[str, Any]]
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    workers: int = 0
    rows: tuple[int, int] | None = None
    bad_records: pathlib.Path | None = None
    max_bad_share: float | int = 0.25

    def __post_init__(self):
        if not len(self.source):
            raise UserError(f"{type(self.source).__name__}: the source holds no records")
        first, last = self.rows or (0, self.batch_size)
        if not 0 <= first < last <= self.batch_size:
            raise ValueError(f"rows {self.rows} of a batch of {self.batch_size}")

    @functools.cached_property
    def bad(self) -> BadRecords:
        """The records that were replaced so far; ``bad.poll()`` names them."""
        return BadRecords(self.bad_records)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This host's rows of batch ``step``."""
        batch = self._read(step)
        self._require_few_bad(step)
        return batch

    def iterate(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches from ``step`` on, read ahead.

        Raises:
          UserError: more than ``max_bad_share`` of the records are bad, or many in a row.
        """
        batches = grain.MapDataset.range(step, sys.maxsize).map(self._read)
        iterator = read_ahead(batches, _AHEAD, self.workers)
        try:
            for batch in iterator:
                self._require_few_bad(step)
                yield batch
                step += 1
        finally:
            iterator.close()
            self.bad.conclude()

    @functools.cached_property
    def _read(self) -> "_Reader":
        draws = _draws(self.source, self.seed, self.shuffle)
        rows = range(*(self.rows or (0, self.batch_size)))
        return _Reader(
            self.source, self.transform, draws, self.seed, self.batch_size, rows, self.bad
        )

    def _require_few_bad(self, step: int) -> None:
        ahead = (_AHEAD + _THREADS) * (1 + self.workers)  # with those that are being read
        read = (step + 1 + ahead) * self.batch_size
        self.bad.require_few(self.max_bad_share, min(len(self.source), max(read, _FEWEST)))


class _Draw(NamedTuple):
    """A place in the endless sequence: record ``index``, among ``count`` from ``first`` on."""

    index: int
    epoch: int
    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class _Reader:
    """The function step -> batch, which Grain sends to its workers."""

    source: Any
    transform: Callable[[Any], Mapping[str, Any]]
    draws: Any
    seed: int
    batch_size: int
    rows: range
    bad: BadRecords

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        return stack([self._example(step * self.batch_size + row) for row in self.rows])

    def _example(self, position: int) -> Mapping[str, Any]:
        draw = self.draws[position]
        index = draw.index
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self.transform(self.source[index])
            except UserError as error:
                self.bad.add(name_of(self.source, index), str(error))
                reason = error
            moved = replacement(self.seed, draw.epoch, draw.index, attempt, draw.count)
            index = draw.first + moved
        raise UserError(f"{_ATTEMPTS} records in a row are bad; the last: {reason}") from reason


def read_ahead(elements: grain.MapDataset, ahead: int, workers: int) -> grain.DatasetIterator:
    """The elements in order, ``ahead`` of them kept ready by each process that reads.

    Args:
      elements: picklable, where there are workers.
      ahead: elements.
      workers: reading processes; 0 reads in threads of this one.
    """
    threads = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=ahead)
    elements = elements.to_iter_dataset(threads)
    if workers:
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=ahead)
        elements = elements.mp_prefetch(options)
    return iter(elements)


def _draws(source: Any, seed: int, shuffle: bool, first: int = 0) -> grain.MapDataset:
    """The endless sequence of draws from a source whose records count from ``first``."""
    if isinstance(source, Mixture):
        parts, weights = [], []
        for part, weight in source.parts:
            # Each part has its own order, even beside another of the same length.
            state = np.random.SeedSequence((seed, len(parts))).generate_state(1)
            parts.append(_draws(part, int(state[0]), shuffle, first))
            weights.append(weight)
            first += len(part)
        return grain.MapDataset.mix(parts, weights)
    count = len(source)
    in_memory = count <= _SMALL
    order = grain.MapDataset.range(count).seed(seed)
    if shuffle and not in_memory:
        order = order.shuffle()
    to_draw = _ToDraw(seed, shuffle and in_memory, first, count)
    return order.repeat().map_with_index(to_draw)


@dataclasses.dataclass(frozen=True)
class _ToDraw:
    """Position and record within a source to a draw; small sources are shuffled here."""

    seed: int
    shuffle: bool
    first: int
    count: int

    def __call__(self, position: int, index: int) -> _Draw:
        epoch, place = divmod(position, self.count)
        if self.shuffle:
            index = _permutation(self.count, self.seed, epoch)[place]
        return _Draw(self.first + int(index), epoch, self.first, self.count)


@functools.lru_cache(maxsize=16)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
