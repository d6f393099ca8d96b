"""Batches as a pure function of (seed, step): nothing to save, nothing to lose on resuming."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from mmjax.data.transforms import stack

# Grain's worker processes read absl flags, which nobody parses when mmjax is used as a library.
if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()

_THREADS, _AHEAD = 2, 4  # reading threads of a process, and batches it keeps ready


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Shuffles a source anew each epoch and groups it into batches.

    Row ``r`` of batch ``s`` is example ``s * batch_size + r`` of an endless sequence that depends
    on the seed alone, so batches are the same for any number of workers and processes, and a run
    that goes on at step ``s`` asks for batch ``s``.

    Attributes:
      source: ``len(source)`` records, by index.
      transform: record to arrays.
      batch_size: examples of the global batch.
      seed: of the order.
      shuffle: False reads the source in its own order, for evaluation.
      workers: reading processes; 0 reads in threads of this one.
      rows: which rows of the global batch this host reads; None for all.
    """

    source: Any
    transform: Callable[[Any], Mapping[str, Any]]
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    workers: int = 0
    rows: tuple[int, int] | None = None

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This host's rows of batch ``step``."""
        return _Batches(self)(step)

    def iterate(self, step: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches from ``step`` on, read ahead."""
        steps = grain.MapDataset.range(step, sys.maxsize).map(_Batches(self))
        threads = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_AHEAD)
        batches = steps.to_iter_dataset(threads)
        if self.workers:
            options = grain.MultiprocessingOptions(
                num_workers=self.workers, per_worker_buffer_size=_AHEAD
            )
            batches = batches.mp_prefetch(options)
        return iter(batches)


class _Batches:
    """The function step -> batch, which Grain sends to its workers."""

    def __init__(self, pipeline: Pipeline):
        self.pipeline = pipeline
        examples = grain.MapDataset.source(pipeline.source).seed(pipeline.seed)
        if pipeline.shuffle:
            examples = examples.shuffle()
        self.examples = examples.repeat().map(pipeline.transform)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        size = self.pipeline.batch_size
        first, last = self.pipeline.rows or (0, size)
        return stack([self.examples[step * size + row] for row in range(first, last)])
