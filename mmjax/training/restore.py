"""A trained system from its workdir."""

import pathlib
import sys

import jax

from mmjax.errors import UserError
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.state import State, abstract_batch, init
from mmjax.training.system import System, build
from mmjax.training.workdir import Workdir


def abstract_state(system: System) -> State:
    """Shapes and dtypes of the system's state."""
    example = abstract_batch(make_pipeline(system).batch(0))
    return jax.eval_shape(lambda batch: init(system, batch), example)


def restore(workdir: pathlib.Path | str) -> tuple[System, State]:
    """The system and newest readable state of a run.

    Raises:
      UserError: there is no run, no checkpoint, or none that can be read.
    """
    folder = Workdir(workdir)
    system = build(folder.config(), trusted=False)
    if not folder.checkpoints.is_dir():
        raise UserError(f"{folder.path}: no checkpoint yet")
    checkpoints = Checkpoints(folder.checkpoints, system.train.keep)
    try:
        state = checkpoints.restore_newest(
            abstract_state(system), lambda line: print(f"warning: {line}", file=sys.stderr)
        )
    finally:
        checkpoints.close()
    if state is None:
        raise UserError(f"{folder.path}: no checkpoint yet")
    return system, state
