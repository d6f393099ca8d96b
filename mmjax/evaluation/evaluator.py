"""What is judged: tasks (which streams are given, which are generated), metrics, held-out sets."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mmjax.builder import nearest
from mmjax.errors import UserError

HEADLINE = "held-out"
"""The name of the set that ``config.data.evaluation`` holds."""


@runtime_checkable
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
    """One direction of an any-to-any system.

    A task that wants nothing but what it is given is a reconstruction, as of codecs.

    Attributes:
      given: streams taken from held-out clips.
      want: streams that are generated.
      prefix: wanted streams whose beginning, such as a film's first frame, is taken from the clips.
    """

    want: tuple[str, ...]
    given: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.want:
            raise ValueError("want names no stream")
        both, new = set(self.want) & set(self.given), set(self.want) - set(self.given)
        if both and new:
            named = (", ".join(sorted(names)) for names in (both, new))
            raise ValueError("{}: both given and wanted, but {} is not given".format(*named))
        if other := set(self.prefix) - set(self.want):
            raise ValueError(f"prefix {', '.join(sorted(other))}: not among the wanted streams")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What ``mmjax evaluate`` runs.

    Attributes:
      tasks, metrics: by name.
      clips: held-out clips per task.
      batch_size: clips sampled at once.
      previews: clips per task that training writes as samples.
      sets: further sources of held-out clips by name; each is judged apart from the headline set,
        which is the data's own.
      shuffle: fields whose clips are exchanged with each other's in the control of real data,
        which shows what a metric says when they do not belong together.
      columns: figures of the printed table, as ``metric/figure``; () prints all.
    """

    tasks: Mapping[str, Task] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Metric] = dataclasses.field(default_factory=dict)
    clips: int = 64
    batch_size: int = 32
    previews: int = 4
    sets: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    shuffle: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __post_init__(self):
        if HEADLINE in self.sets:
            raise ValueError(f"sets: {HEADLINE!r} is the name of the data's own held-out set")
        if self.clips < 2 or not 2 <= self.batch_size:
            raise ValueError("clips and batch_size must be at least 2")

    def chosen(self, names: tuple[str, ...] = ()) -> dict[str, Task]:
        """The named tasks, or all of them.

        Raises:
          UserError: no task has that name.
        """
        for name in names:
            if name not in self.tasks:
                raise UserError(f"no task named {name!r}{nearest(name, self.tasks)}")
        return {name: self.tasks[name] for name in names or self.tasks}


class Judge:
    """Puts clips before every metric, batch by batch, and sums up once all were seen."""

    def __init__(self, metrics: Mapping[str, Metric]):
        """Nothing is judged yet."""
        self.metrics = metrics
        self._features: dict[str, list[Mapping[str, np.ndarray]]] = {name: [] for name in metrics}

    def add(self, media: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> None:
        """Extracts the features of a batch of clips.

        Args:
          media: the clips judged, by field, in the modalities' raw dtype.
          truth: the held-out records they were made from, by field.
        """
        for name, metric in self.metrics.items():
            self._features[name].append(metric.extract(media, truth))

    def figures(self) -> dict[str, float]:
        """Every figure, as ``metric/figure``."""
        found = {}
        for name, metric in self.metrics.items():
            batches = self._features[name]
            features = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
            for figure, value in metric.compute(features).items():
                found[f"{name}/{figure}"] = float(value)
        return found


def shuffled(media: Mapping[str, np.ndarray], fields: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The clips with ``fields`` taken from the next clip of the batch, so none keeps its own."""
    return {
        name: np.roll(values, 1, axis=0) if name in fields else values
        for name, values in media.items()
    }
