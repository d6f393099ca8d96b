"""What is judged: tasks (which streams are given, which are generated) and metrics."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Metric(Protocol):
    """A number about generated clips, in two parts so that features may come from elsewhere.

    ``spec_id`` fixes the protocol: two figures compare only if theirs are equal.
    """

    spec_id: str

    def extract(
        self, media: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Features of each clip, leading axis B."""

    def compute(self, features: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The figures of all clips together."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One direction of an any-to-any system: streams taken from held-out clips, streams generated."""

    given: tuple[str, ...] = ()
    want: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What ``mmjax evaluate`` runs.

    Attributes:
      tasks, metrics: by name.
      clips: held-out clips per task.
      batch_size: clips sampled at once.
    """

    tasks: Mapping[str, Task] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    clips: int = 64
    batch_size: int = 32
