"""The one training loop."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.sharding.mesh import make_mesh
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.interrupt import Interrupt
from mmjax.training.placement import Placement, rows
from mmjax.training.progress import Averages, Progress
from mmjax.training.state import State, abstract_batch
from mmjax.training.system import System
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer
from mmjax.typing import Batch

# Called with the state between two steps: (system, state, step, folder, writer).
Hook = Callable[[System, State, int, Workdir, Writer], None]


def train(
    system: System,
    workdir: Workdir,
    *,
    begin: Callable[[Batch], State] | None = None,
    preview: Hook | None = None,
    evaluate: Hook | None = None,
) -> tuple[State, bool]:
    """Trains to ``train.steps``, going on from the newest checkpoint of the workdir if it has one.

    Args:
      system: what to train.
      workdir: where; claimed for the system's config.
      begin: makes the first state from a batch of zeros; by default all networks are initialised.
      preview: makes samples every ``train.preview_every`` steps.
      evaluate: measures every ``train.evaluate_every`` steps, on the state before the step.

    Returns:
      The last state, and whether the run was interrupted (its state is saved in either case).

    Raises:
      UserError: ``train.max_bad_steps`` non-finite steps in a row; the message names the term.
    """
    workdir.claim(system.config)
    run = _Run(system, workdir, begin, {"preview": preview, "evaluate": evaluate})
    try:
        return run.go()
    finally:
        run.close()


class _Run:
    """One call of :func:`train`: what it holds open, and the loop over it."""

    def __init__(self, system: System, workdir: Workdir, begin, hooks: Mapping[str, Hook | None]):
        self.system, self.workdir, self.hooks = system, workdir, hooks
        mesh, size = make_mesh(system.mesh), system.data.batch_size
        self.pipeline = make_pipeline(
            system, rows=rows(mesh, size), bad_records=workdir.path / "bad_records.jsonl"
        )
        self.placement = Placement(system, mesh, abstract_batch(self.pipeline.batch(0), size))
        self.checkpoints = Checkpoints(workdir.checkpoints, system.train.keep)
        self.state = self._restored_or(begin)
        start = int(self.state.step)
        self.step = self.placement.jit_step()
        self.writer = Writer(workdir.path, step=start)
        self.averages = Averages()
        self.progress = Progress(start, system.train.steps, system.data.batch_size)
        self.pending: tuple[int, Any] | None = None

    def go(self) -> tuple[State, bool]:
        """Evaluate and save the old state, take the next batch, step; repeat."""
        start, steps = int(self.state.step), self.system.train.steps
        batches = self.pipeline.iterate(start + int(self.state.data_offset))
        with Interrupt() as interrupt:
            for step in range(start, steps):
                if step > start:
                    self._between_steps(step)
                if interrupt.requested:
                    break
                batch = self.placement.put(next(batches))
                self.state, logged = self.step(self.state, batch)
                # The metrics of the step before are read while this one runs.
                previous, self.pending = self.pending, (step + 1, logged)
                self._digest(previous)
            else:
                self._between_steps(steps, last=True)
            self._save()
        return self.state, interrupt.requested

    def close(self) -> None:
        """Waits for what is being written, whatever else went wrong."""
        self.progress.close()
        self.writer.close()
        self.checkpoints.close()

    def _restored_or(self, begin: Callable[[Batch], State] | None) -> State:
        warn = lambda line: print(f"warning: {line}")  # noqa: E731
        restored = self.checkpoints.restore_newest(self.placement.abstract, warn)
        if restored is None:
            return self.placement.begin(begin)
        self.checkpoints.drop_after(int(restored.step))
        return restored

    def _between_steps(self, step: int, *, last: bool = False) -> None:
        train = self.system.train
        for name, every in (("evaluate", train.evaluate_every), ("preview", train.preview_every)):
            hook = self.hooks[name]
            if hook is not None and every and (step % every == 0 or last):
                hook(self.system, self.state, step, self.workdir, self.writer)
        if train.save_every and step % train.save_every == 0:
            self._save()

    def _save(self) -> None:
        # Metrics up to this step are on disk before the checkpoint is, so that a run which goes
        # on from it misses none; a row never spans a checkpoint, so it repeats them exactly.
        previous, self.pending = self.pending, None
        self._digest(previous, flush=True)
        self.checkpoints.save(self.state)

    def _digest(self, pending: tuple[int, Any] | None, *, flush: bool = False) -> None:
        """Takes in the metrics of one step, and writes a row if one is due."""
        if pending is None:
            return
        step, logged = pending
        values = jax.device_get(logged)
        self.averages.add(values)
        self.progress.advance()
        self._stop_if_bad(step, values)
        if flush or step % self.system.train.log_every == 0:
            means = self.averages.take() | self.progress.rates(step)
            self.progress.show(means)
            self.writer.scalars(step, means)

    def _stop_if_bad(self, step: int, values: Mapping[str, tuple]) -> None:
        in_a_row = int(values["bad_steps_in_a_row"][0])
        if not in_a_row:
            return
        # A gradient can overflow where its term is still finite, so terms are named first.
        bad = sorted(
            (name for name, (total, _) in values.items() if not np.isfinite(total)),
            key=lambda name: (not name.startswith("loss/"), name.count("/"), name),
        )
        cause = bad[0] if bad else "a gradient or a mutable collection"
        self.progress.say(f"step {step}: {cause} is not finite; the step is withheld")
        if in_a_row >= self.system.train.max_bad_steps:
            raise UserError(
                f"step {step}: {cause} was not finite for {in_a_row} steps in a row; "
                f"the last good state is kept in {self.workdir.checkpoints}"
            )
