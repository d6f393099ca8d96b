"""What a run shows while it trains: samples to look at and listen to, and figures."""

import pathlib

import jax
import numpy as np

from mmjax import config as configs
from mmjax.errors import UserError
from mmjax.evaluation.evaluator import HEADLINE
from mmjax.evaluation.media import save_example, sheet, side_by_side
from mmjax.rng import named
from mmjax.sharding.multihost import is_main
from mmjax.training.held_out import held_out_sets, readable
from mmjax.training.judging import Examiner
from mmjax.training.state import State
from mmjax.training.system import System
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer


class Previews:
    """A hook of the loop: a few held-out clips per task, as files and as a contact sheet.

    The clips and the noise are the same at every step, so that progress shows.
    """

    def __init__(self):
        """Nothing is read or compiled before the first call."""
        self._examiner: Examiner | None = None

    def __call__(
        self, system: System, state: State, step: int, workdir: Workdir, writer: Writer
    ) -> None:
        """Writes ``samples/step_N/{task}_{i}.*`` and an image per task to TensorBoard."""
        if not system.evaluation.tasks:
            raise UserError("config.train.preview_every: evaluation.tasks names nothing to sample")
        if self._examiner is None:
            sets = held_out_sets(system, clips=system.evaluation.previews, names=(HEADLINE,))
            self._examiner = Examiner(system, sets, system.evaluation.chosen())
        batch = self._examiner.sets[HEADLINE][0]
        folder = workdir.samples / f"step_{step}"
        for task_name, task in self._examiner.tasks.items():
            key = named(jax.random.key(self._examiner.seed), "preview", task_name)
            media = self._examiner.media(state, task, batch, key)
            media = {name: readable(system, name, values) for name, values in media.items()}
            facts = {"config": configs.digest(system.config), "step": step, "task": task_name}
            pictures = self._save(system, media, folder, task_name, facts)
            writer.image(step, f"samples/{task_name}", side_by_side(pictures))

    def _save(
        self, system: System, media, folder: pathlib.Path, task: str, facts: dict
    ) -> list[np.ndarray]:
        pictures = []
        for index in range(len(next(iter(media.values())))):
            example = {name: values[index] for name, values in media.items()}
            if is_main():
                save_example(folder, f"{task}_{index}", system.modalities, example, facts)
            pictures.append(sheet(system.modalities, example))
        return pictures


class Scores:
    """A hook of the loop: the figures of every task on the headline set, as scalars."""

    def __init__(self):
        """Nothing is read or compiled before the first call."""
        self._examiner: Examiner | None = None

    def __call__(
        self, system: System, state: State, step: int, workdir: Workdir, writer: Writer
    ) -> None:
        """Writes ``evaluation/{task}/{metric}/{figure}`` and the held-out loss."""
        if self._examiner is None:
            sets = held_out_sets(system, names=(HEADLINE,))
            self._examiner = Examiner(system, sets, system.evaluation.chosen())
        figures = {}
        for row in self._examiner.model("", state):
            for name, value in row.figures.items():
                place = "" if name.partition("/")[0] == "loss" else f"{row.task}/"
                figures[f"evaluation/{place}{name}"] = value
        writer.scalars(step, figures)
