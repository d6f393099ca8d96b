"""A start of the run in a forked process, and what its watcher sees of it."""

import ctypes
import mmap
import os
import pathlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np

from mmjax.cli.main import main
from mmjax.training import control, loop
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.waits import Waits

ROOT = pathlib.Path(__file__).parents[2]
# The names of the waits in the training loop, and what comes before, between and beside them.
PHASES = ("start", "restore", "initialisation", "compile", "data", "step", "save", "evaluate",
          "preview", "between", "writing")  # fmt: skip
STEPS = 40
FIELDS = {
    "train.steps": STEPS, "train.log_every": 1, "train.save_every": 2, "train.keep": 3,
    "train.evaluate_every": 9, "train.preview_every": 13, "train.ema": 0.9,
    "evaluation.clips": 8, "evaluation.batch_size": 8, "evaluation.previews": 1,
}  # fmt: skip
CONFIG = "configs/image/gan.py:tiny"
_DIES_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG


class Sight(NamedTuple):
    """Where a run is.

    Attributes:
      phase: the last of ``PHASES`` that it has entered and not left.
      writing: whether a checkpoint is being written beside that.
      step: the last step that this start has taken; -1 before the first.
      restored: the step that this start has gone on from; -1 before that is known.
    """

    phase: str
    writing: bool
    step: int
    restored: int


class Board:
    """Memory that a run and its watcher share."""

    def __init__(self):
        self._cells = np.frombuffer(mmap.mmap(-1, 4 * (4 + len(PHASES))), np.int32)
        self.clear()

    def clear(self) -> None:
        """Nothing is known of a new start."""
        self._cells[:] = 0
        self._cells[2:4] = -1

    def read(self) -> Sight:
        """Where the run is now."""
        phase, writing, step, restored = map(int, self._cells[:4])
        return Sight(PHASES[phase], bool(writing), step, restored)

    def times(self, phase: str) -> int:
        """How often this start has entered a phase."""
        return int(self._cells[4 + PHASES.index(phase)])

    @contextmanager
    def within(self, phase: str) -> Iterator[None]:
        """Notes that the run is in a phase while this is open."""
        before = self._cells[0] or PHASES.index("between")
        self.count(phase)
        self._cells[0] = PHASES.index(phase)
        try:
            yield
        finally:
            self._cells[0] = before

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Notes that a checkpoint is being written while this is open."""
        self.count("writing")
        self._cells[1] = 1
        try:
            yield
        finally:
            self._cells[1] = 0

    def count(self, phase: str) -> None:
        """Notes that a phase was entered."""
        self._cells[4 + PHASES.index(phase)] += 1

    def stands_at(self, step: int) -> None:
        """Notes a step that was taken, or the one that the run goes on from."""
        self._cells[3 if self._cells[3] < 0 else 2] = step


def start(workdir: pathlib.Path, board: Board, *, compiles: bool = False) -> int:
    """Starts the run, or goes on with it, in a process of its own; the process's number.

    Args:
      workdir: of the run; what it says goes to ``log.txt`` beside, what it compiles two folders up.
      board: what the run writes its phase and its step to.
      compiles: whether it must compile what an earlier start has compiled already.
    """
    board.clear()
    if process := os.fork():
        return process
    code = 1
    try:
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
        log = os.open(workdir.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        cache(workdir.parents[1] / "compiled", used=not compiles)
        _report_to(board)
        fields = [f"--config.{name}={value}" for name, value in FIELDS.items()]
        code = main(
            ["train", "--config", str(ROOT / CONFIG), *fields, "--workdir", str(workdir), "--debug"]
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cache(folder: pathlib.Path, *, used: bool) -> None:
    """Has JAX keep what it compiles in a folder."""
    jax.config.update("jax_enable_compilation_cache", used)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def ended(process: int, seconds: float) -> int | None:
    """The exit code of a process (negative: the signal) that ends in time, or None."""
    deadline = time.monotonic() + seconds
    while True:
        if (found := os.waitpid(process, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(found[1])
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.003)


def _report_to(board: Board) -> None:
    """Has the parts of the loop say where they are."""

    class Told(Waits):
        @contextmanager
        def __call__(self, name, *, phase=False):
            with (
                board.within(name if name in PHASES else "between"),
                super().__call__(name, phase=phase),
            ):
                yield

    step, finish = loop._Run._step, Checkpoints._finish

    def noted_step(run):
        if board.read().restored < 0:
            board.stands_at(run.at)
        step(run)
        board.stands_at(run.at)

    def noted_finish(checkpoints, folder):
        with board.writing():
            finish(checkpoints, folder)

    control.Waits, loop._Run._step, Checkpoints._finish = Told, noted_step, noted_finish
