"""What codecs are judged by where their configs do not say: what comes back, by default metrics."""

import dataclasses
from collections.abc import Mapping

from mmjax.builder import resolve
from mmjax.evaluation.evaluator import Evaluation, Metric, Task
from mmjax.objectives.base import Objective
from mmjax.streams import StreamSpec

TASK = "reconstruction"


def with_reconstruction(
    evaluation: Evaluation, objective: Objective, streams: Mapping[str, StreamSpec]
) -> Evaluation:
    """Adds the task and metrics of an objective that gives back what it takes.

    Other objectives, and an evaluation with tasks of its own, are left alone.
    """
    names = objective.reconstructs
    if evaluation.tasks or not names:
        return evaluation
    metrics = evaluation.metrics or {
        key: metric for name in names for key, metric in _metrics(streams[name]).items()
    }
    return dataclasses.replace(evaluation, tasks={TASK: Task(names, names)}, metrics=metrics)


def _metrics(spec: StreamSpec) -> dict[str, Metric]:
    """The default metrics of a stream's modality by the names of their files."""
    found = {}
    for target in spec.modality.metrics:
        kind = resolve(target, f"{type(spec.modality).__name__}.metrics", trusted=True)
        names = {field.name for field in dataclasses.fields(kind)} & vars(spec.modality).keys()
        facts = {name: getattr(spec.modality, name) for name in names}
        found[target.partition(":")[0].rpartition(".")[2]] = kind(field=spec.field, **facts)
    return found
