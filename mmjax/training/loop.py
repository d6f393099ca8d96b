"""The one training loop."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.interrupt import Interrupt
from mmjax.training.progress import Averages, Progress
from mmjax.training.state import State, abstract_batch, init
from mmjax.training.step import make_step
from mmjax.training.system import System
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer

# Called with the state between two steps: (system, state, step, folder, writer).
Hook = Callable[[System, State, int, Workdir, Writer], None]


def train(
    system: System, workdir: Workdir, *, preview: Hook | None = None, evaluate: Hook | None = None
) -> tuple[State, bool]:
    """Trains to ``train.steps``, going on from the newest checkpoint of the workdir if it has one.

    Args:
      system: what to train.
      workdir: where; claimed for the system's config.
      preview: makes samples every ``train.preview_every`` steps.
      evaluate: measures every ``train.evaluate_every`` steps, on the state before the step.

    Returns:
      The last state, and whether the run was interrupted (its state is saved in either case).

    Raises:
      UserError: ``train.max_bad_steps`` non-finite steps in a row; the message names the term.
    """
    workdir.claim(system.config)
    run = _Run(system, workdir, {"preview": preview, "evaluate": evaluate})
    try:
        return run.go()
    finally:
        run.close()


class _Run:
    """One call of :func:`train`: what it holds open, and the loop over it."""

    def __init__(self, system: System, workdir: Workdir, hooks: Mapping[str, Hook | None]):
        self.system, self.workdir, self.hooks = system, workdir, hooks
        self.pipeline = make_pipeline(system, bad_records=workdir.path / "bad_records.jsonl")
        example = abstract_batch(self.pipeline.batch(0))
        self.checkpoints = Checkpoints(workdir.checkpoints, system.train.keep)
        self.state = self._begin(example)
        start = int(self.state.step)
        self.step = jax.jit(make_step(system), donate_argnums=0)
        self.writer = Writer(workdir.path, step=start)
        self.averages = Averages()
        self.progress = Progress(start, system.train.steps, system.data.batch_size)

    def go(self) -> tuple[State, bool]:
        """Evaluate and save the old state, take the next batch, step; repeat."""
        start, steps = int(self.state.step), self.system.train.steps
        pending = None
        batches = self._batches(start)
        with Interrupt() as interrupt:
            for step in range(start, steps):
                self._between_steps(step, resumed_here=step == start)
                if interrupt.requested:
                    break
                batch = next(batches)
                self.state, logged = self.step(self.state, batch)
                # The metrics of the step before are read while this one runs.
                self._digest(step, pending)
                pending = logged
            self._digest(int(self.state.step), pending)
            self._between_steps(int(self.state.step), resumed_here=False, last=True)
        return self.state, interrupt.requested

    def close(self) -> None:
        """Waits for what is being written, whatever else went wrong."""
        self.progress.close()
        self.writer.close()
        self.checkpoints.close()

    def _begin(self, example) -> State:
        fresh = jax.jit(lambda: init(self.system, _zeros(example)))
        abstract = jax.eval_shape(fresh)
        restored = self.checkpoints.restore_newest(abstract, lambda line: print(f"warning: {line}"))
        if restored is None:
            return fresh()
        self.checkpoints.drop_after(int(restored.step))
        return restored

    def _batches(self, step: int) -> Iterator[Mapping[str, np.ndarray]]:
        return self.pipeline.iterate(step + int(self.state.data_offset))

    def _between_steps(self, step: int, *, resumed_here: bool, last: bool = False) -> None:
        train = self.system.train
        if not resumed_here or step == 0:
            for name, every in (
                ("evaluate", train.evaluate_every), ("preview", train.preview_every),
            ):  # fmt: skip
                hook = self.hooks[name]
                if hook is not None and every and (step % every == 0 and step or last):
                    hook(self.system, self.state, step, self.workdir, self.writer)
        if not resumed_here and (last or (train.save_every and step % train.save_every == 0)):
            self.checkpoints.save(self.state)

    def _digest(self, step: int, logged: Any) -> None:
        """Takes in the metrics of the step that led to ``step``."""
        if logged is None:
            return
        values = jax.device_get(logged)
        self.averages.add(values)
        self.progress.advance()
        self._stop_if_bad(step, values)
        train = self.system.train
        if step % train.log_every == 0 or step == train.steps:
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


def _zeros(example) -> dict[str, np.ndarray]:
    return {name: np.zeros(spec.shape, spec.dtype) for name, spec in example.items()}
