"""The one training loop."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from mmjax.sharding.mesh import make_mesh
from mmjax.sharding.multihost import on_main, own, say_once, share
from mmjax.training.bad_steps import BadSteps
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.goodput import Ledger
from mmjax.training.hooks import Hook, Hooks, finished
from mmjax.training.interrupt import Interrupt
from mmjax.training.placement import Placement, rows
from mmjax.training.progress import Averages, Progress
from mmjax.training.reduce import Packed
from mmjax.training.state import State, abstract_batch
from mmjax.training.system import System
from mmjax.training.waits import Waits
from mmjax.training.warm_start import warm_start
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer
from mmjax.typing import Batch


def train(
    system: System,
    workdir: Workdir,
    *,
    begin: Callable[[Batch], State] | None = None,
    preview: Hook | None = None,
    evaluate: Hook | None = None,
    interrupt: Interrupt | None = None,
    waits: Waits | None = None,
    ledger: Ledger | None = None,
) -> tuple[State, bool]:
    """Trains to ``train.steps``, going on from the newest checkpoint of the workdir if it has one.

    Args:
      system: what to train.
      workdir: where; claimed for the system's config.
      begin: makes the first state from a batch of zeros; by default all networks are initialised,
        or taken from where ``config.init`` says.
      preview: makes samples every ``train.preview_every`` steps.
      evaluate: measures every ``train.evaluate_every`` steps.
      interrupt: open requests to stop; by default SIGTERM and SIGINT are caught while this runs.
      waits: watches over what may hang; by default with the limits of ``train``.
      ledger: keeps the time of the run; by default from now on.

    Returns:
      The last state, and whether the run was interrupted (its state is saved in either case).

    Raises:
      UserError: steps stay non-finite wherever the run goes back to; the message names the term.
    """
    on_main("workdir", lambda: workdir.claim(system.config))
    with contextlib.ExitStack() as stack:
        interrupt = interrupt or stack.enter_context(Interrupt())
        if waits is None:
            limits = system.train.wait_limit, system.train.phase_limit
            waits = stack.enter_context(Waits(*limits))
        hooks = Hooks(system.train, {"evaluate": evaluate, "preview": preview})
        ledger = ledger or Ledger(workdir.path)
        run = _Run(system, workdir, begin, hooks, interrupt, waits, ledger)
        stack.callback(run.close)
        return run.go()


class _Run:
    """One call of :func:`train`: what it holds open, and the loop over it."""

    at: int  # the step of the state

    def __init__(
        self,
        system: System,
        workdir: Workdir,
        begin: Callable[[Batch], State] | None,
        hooks: Hooks,
        interrupt: Interrupt,
        waits: Waits,
        ledger: Ledger,
    ):
        self.system, self.workdir, self.hooks = system, workdir, hooks
        self.interrupt, self.waits, self.warm = interrupt, waits, False
        self.ledger, ledger.busy, waits.observe = ledger, self._computes, ledger.enter
        mesh, size = make_mesh(system.mesh), system.data.batch_size
        self.pipeline = make_pipeline(
            system, rows=rows(mesh, size), bad_records=own(workdir.path / "bad_records.jsonl")
        )
        with waits("data"):
            example = abstract_batch(self.pipeline.batch(0), size)
        self.placement = Placement(system, mesh, example)
        self.begin = begin or warm_start(self.placement, workdir.path)
        self.step = self.placement.jit_step()
        self.checkpoints = Checkpoints(workdir.checkpoints, system.train.keep)
        self.bad_steps = BadSteps(
            system.train.max_bad_steps, system.train.max_rollbacks, lambda x: self.progress.say(x)
        )
        self._take_up(self._restored())

    def go(self) -> tuple[State, bool]:
        """Take a step, do what is then due; repeat."""
        self._between_steps()
        while not (stop := self.interrupt.requested) and not self._is_last():
            self._step()
            self._between_steps()
        self._flush()
        self._save()
        return self.state, stop

    def close(self) -> None:
        """Waits for what is being written, whatever else went wrong."""
        with self.waits("data"):
            self._put_down()
        with self.waits("save"):
            self.checkpoints.close()
        self.waits.observe = None
        self.ledger.close()

    def _restored(self, at_most: int | None = None) -> State:
        """The newest state on disk, or the first one of all."""

        def newest(at_most):
            return self.checkpoints.restore_newest(
                self.placement.abstract, lambda line: say_once(f"warning: {line}"), at_most=at_most
            )

        with self.waits("restore"):
            # Older ones may be gone: one between two bad steps will do, whose values are the same.
            state = newest(at_most) or (None if at_most is None else newest(None))
            self.checkpoints.drop_after(-1 if state is None else int(state.step))
        if state is None:
            with self.waits("initialisation", phase=True):
                state = jax.block_until_ready(self.placement.begin(self.begin))
        return state

    def _take_up(self, state: State) -> None:
        """Goes on from ``state``: the data, the metrics and the bar stand where it does."""
        self.state, self.at, self.skipped = state, int(state.step), int(state.data_offset)
        self.batches: Iterator[Batch] = self.pipeline.iterate(self.at + self.skipped)
        self.writer = Writer(self.workdir.path, step=self.at)
        self.ledger.take_up(self.at)
        self.averages = Averages()
        self.progress = Progress(self.at, self.system.train.steps, self.system.data.batch_size)
        self.pending: tuple[int, Packed] | None = None

    def _put_down(self) -> None:
        self.batches.close()
        self.progress.close()
        self.writer.close()

    def _step(self) -> None:
        with self.waits("data"):
            batch = next(self.batches)
        with self._computing():
            self.state, logged = self.step(self.state, self.placement.put(batch))
        self.at += 1
        self.checkpoints.raise_errors()
        # The metrics of the step before are read while this one runs.
        previous, self.pending = self.pending, (self.at, logged)
        self._digest(previous)

    def _between_steps(self) -> None:
        """Saves when that is due, and before a hook: during it, nothing is left to lose."""
        every = self.system.train.save_every
        saving = every and self.at and self.at % every == 0
        if saving or self._is_last() or self.hooks.due(self.at, self.writer):
            self._flush()
            if not self.bad_steps.in_a_row or self._is_last():
                self._save()
        for name, hook in self.hooks.due(self.at, self.writer).items():
            start = time.perf_counter()
            inputs = self.system, self.state, self.at, self.workdir, self.writer
            with self.waits(name, phase=True):
                done = self.interrupt.until_requested(functools.partial(hook, *inputs))
                # The first process writes; others wait here for it, rather than in a collective.
                share(f"end of {name}", "", self.system.train.phase_limit)
            if not done:
                return
            self.writer.scalars(self.at, {finished(name): time.perf_counter() - start})

    def _is_last(self) -> bool:
        return self.at >= self.system.train.steps

    def _save(self) -> None:
        with self.waits("save"):
            self.checkpoints.save(self.state)

    def _computing(self):
        # Until the first metrics are here, this process or another may be compiling the step.
        return self.waits("step" if self.warm else "compile", phase=not self.warm)

    def _computes(self) -> bool:
        """Whether the device has not come to the end of the last step; asks, and does not wait."""
        return self.pending is not None and not self.pending[1].pairs.is_ready()

    def _flush(self) -> None:
        # Metrics up to this step are on disk before the checkpoint is, so that a run which goes
        # on from it misses none; a row never spans a checkpoint, so it repeats them exactly.
        previous, self.pending = self.pending, None
        self._digest(previous, flush=True)

    def _digest(self, pending: tuple[int, Packed] | None, *, flush: bool = False) -> None:
        """Takes in the metrics of one step, and writes a row if one is due."""
        if pending is None:
            return
        step, logged = pending
        with self._computing():
            values = logged.read()
        self.warm = True
        self.ledger.arrived(step)
        self.averages.add(values)
        self.progress.advance()
        if self.bad_steps.look(step, values):
            self._roll_back(step)
        elif flush or step % self.system.train.log_every == 0:
            means = self.averages.take() | self.progress.rates(step) | self.ledger.row()
            if self.skipped:
                means["batches_skipped"] = self.skipped
            self.progress.show(means)
            self.writer.scalars(step, means)

    def _roll_back(self, step: int) -> None:
        """Goes back to before the bad steps that end with ``step``; their batches stay behind."""
        most, position = self.system.train.max_bad_steps, step + self.skipped
        in_a_row, total = map(int, self.state.bad_steps)
        total -= max(in_a_row - most, 0)  # a step that is under way is not counted: it comes again
        # A step that was saved between two others, on a request to stop, would not be there in
        # a run that was not stopped.
        every = self.system.train.save_every or step
        state = self._restored(at_most=(step - most) // every * every)
        back = int(state.step)
        offset = jax.device_put(np.int32(position - back), state.data_offset.sharding)
        bad_steps = jax.device_put(np.array([0, total], np.int32), state.bad_steps.sharding)
        self._put_down()
        self._take_up(state.replace(data_offset=offset, bad_steps=bad_steps))
        self.progress.say(
            f"step {step}: going back to step {back}; {position - back} batches are skipped"
        )
