"""Measuring a system on held-out clips: every task by every metric, and real data for scale."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import config as configs
from mmjax.evaluation.evaluator import Judge, Task, shuffled
from mmjax.evaluation.table import LOSS, Row
from mmjax.rng import named
from mmjax.samplers.any_to_any import first_frames
from mmjax.training.held_out import Batches
from mmjax.training.reduce import Logged, reduce_terms
from mmjax.training.sampling import Fields, Generator, fields_of
from mmjax.training.state import State, sampling_context
from mmjax.training.system import System
from mmjax.typing import Batch, PRNGKeyArray

OBJECTIVE = "objective"  # what figures are called that the objective itself logs
RESULTS = "evaluation.json"  # in the folder of a run


class Examiner:
    """Judges the states of one system on the same held-out clips with the same noise.

    Attributes:
      system: whose tasks and metrics are used.
      sets: the held-out sets by name.
      tasks: the directions of generation.
      seed: of the noise.
    """

    def __init__(
        self, system: System, sets: Mapping[str, Batches], tasks: Mapping[str, Task], seed: int = 0
    ):
        """Compiles nothing yet."""
        self.system, self.sets, self.tasks, self.seed = system, sets, tasks, seed
        self.generator = Generator(system)
        self._terms = jax.jit(self._logged)

    def model(self, name: str, state: State) -> Iterator[Row]:
        """A row for each held-out set and task, with the set's loss; or that alone."""
        for label, batches in self.sets.items():
            losses = self.losses(state, batches)
            if not self.tasks:
                yield Row(name, "", label, batches.examples, losses)
            for task_name, task in self.tasks.items():
                judge = Judge(self.system.evaluation.metrics)
                key = named(jax.random.key(self.seed), "evaluate", label, task_name)
                for index, batch in enumerate(batches):
                    judge.add(self.media(state, task, batch, named(key, index)), batch)
                figures = losses | judge.figures()
                yield Row(name, task_name, label, batches.examples, figures)

    def real(self) -> Iterator[Row]:
        """The held-out clips themselves, then with the fields that the config says exchanged."""
        for label, batches in self.sets.items():
            # A single clip has no other to exchange with.
            fields = self.system.evaluation.shuffle if len(batches) < batches.examples else ()
            plain, mixed = (Judge(self.system.evaluation.metrics) for _ in range(2))
            for batch in batches:
                media = {name: batch[name] for name in self.system.modalities if name in batch}
                plain.add(media, batch)
                if fields:
                    mixed.add(shuffled(media, fields), batch)
            yield Row("real", "", label, batches.examples, plain.figures())
            if fields:
                name = f"real, {' and '.join(fields)} shuffled"
                yield Row(name, "", label, batches.examples, mixed.figures())

    def media(
        self, state: State, task: Task, batch: Batch, key: PRNGKeyArray
    ) -> dict[str, np.ndarray]:
        """The clips of a task by field: what was given as it was, what was wanted as generated."""
        given = {name: fields_of(self.system.streams[name], batch) for name in task.given}
        given |= {name: self._beginning(name, batch) for name in task.prefix}
        generated = self.generator(state, given, task.want, batch=_size(batch), key=key)
        fields = {name: self.system.streams[name].field for name in (*task.given, *task.want)}
        media = {fields[name]: batch[fields[name]] for name in task.given}
        return media | {fields[name]: values for name, values in generated.items()}

    def losses(self, state: State, batches: Batches) -> dict[str, float]:
        """The training objective's mean terms over ``batches``, with averaged parameters.

        What it logs beside them, such as how many codes are in use, is a mean over batches.
        """
        key = named(jax.random.key(self.seed), "loss")
        sums: dict[str, np.ndarray] = {}
        for index, batch in enumerate(batches):
            arrays = {k: v for k, v in batch.items() if np.asarray(v).dtype != object}
            for name, pair in jax.device_get(self._terms(state, arrays, named(key, index))).items():
                sums[name] = sums.get(name, 0.0) + np.array(pair)
        return {name: float(total / count) for name, (total, count) in sums.items() if count}

    def _beginning(self, name: str, batch: Batch) -> Fields:
        spec = self.system.streams[name]
        times = getattr(self.system.objective, "times", None)
        return first_frames(spec, batch[spec.field][:, 0], getattr(times, "prefix_length", 1))

    def _logged(self, state: State, batch: Batch, key: PRNGKeyArray) -> Logged:
        objective = self.system.objective
        ctx = sampling_context(self.system, state)
        prepared = objective.prepare(ctx, batch, named(key, "prepare"))
        logged: Logged = {}
        for update in self.system.updates:
            terms, aux = objective.terms(ctx, prepared, named(key, "update", update), update)
            _, pairs, _ = reduce_terms(terms, None)
            pairs |= {f"{OBJECTIVE}/{k}": (v, jnp.ones(())) for k, v in aux.metrics.items()}
            if len(self.system.updates) > 1:
                pairs[f"{LOSS}/{update}/total"] = pairs.pop(LOSS)
            logged |= pairs
        return logged


def describe(system: System, state: State) -> dict[str, Any]:
    """What the figures of a model depend on: its step, config, sampler and average."""
    sampler = {k: v for k, v in system.config.get("sampler", {}).items() if k != "_target_"}
    kind = "none" if system.sampler is None else type(system.sampler).__name__
    return {
        "step": int(state.step),
        "config": configs.digest(system.config),
        "sampler": f"{kind} {sampler}" if sampler else kind,
        "ema": system.train.ema,
    }


def _size(batch: Batch) -> int:
    return len(next(iter(batch.values())))
