"""The clips that a system is judged on: its held-out sets as batches of equal size."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.builder import nearest
from mmjax.data.pipeline import Pipeline
from mmjax.errors import UserError
from mmjax.evaluation.evaluator import HEADLINE
from mmjax.training.batches import held_out, host_codecs
from mmjax.training.sampling import objects
from mmjax.training.system import System


@dataclasses.dataclass(frozen=True)
class Batches(Sequence):
    """The first ``count`` batches of a pipeline, each read when it is asked for."""

    pipeline: Pipeline
    count: int

    def __len__(self) -> int:
        """How many batches."""
        return self.count

    def __getitem__(self, index):
        """One batch; IndexError past the end."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.pipeline.batch(index)

    @property
    def examples(self) -> int:
        """How many examples."""
        return self.count * self.pipeline.batch_size


def held_out_sets(
    system: System, *, clips: int | None = None, names: tuple[str, ...] = ()
) -> dict[str, Batches]:
    """The held-out sets by name, the data's own first.

    Args:
      system: declares them.
      clips: how many of each, rounded up to batches of equal size; by default the config's number,
        and never more than a set has.
      names: the sets wanted; () all.

    Raises:
      UserError: there is none, or none of that name.
    """
    evaluation = system.evaluation
    if system.data.evaluation is None:
        raise UserError("config.data.evaluation: this config declares no held-out data")
    sources = {HEADLINE: system.data.evaluation, **evaluation.sets}
    for name in names:
        if name not in sources:
            raise UserError(f"no held-out set named {name!r}{nearest(name, sources)}")
    return {
        name: _batches(system, sources[name], clips or evaluation.clips)
        for name in names or sources
    }


def _batches(system: System, source: Any, clips: int) -> Batches:
    clips = min(clips, len(source))
    count = math.ceil(clips / system.evaluation.batch_size)
    size = min(math.ceil(clips / count), len(source) // count)
    codecs = host_codecs(system)
    truth = [name for name in source[0] if name not in system.modalities or name in codecs]
    return Batches(held_out(system, source, tuple(truth), size), count)


def readable(system: System, field: str, values: np.ndarray) -> np.ndarray:
    """Raw values as people read them: the ids of a host codec decoded, others as they are."""
    codec = host_codecs(system).get(field)
    if codec is None or values.dtype == object:
        return values
    return objects(codec.decode(row) for row in values)
