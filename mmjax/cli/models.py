"""The model that a verb works on: the newest state of a run, or a weights folder."""

import argparse
import dataclasses
import hashlib
import pathlib
from typing import Any

from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Model:
    """A system with a state to sample from.

    Attributes:
      system, state: see :mod:`mmjax.training`.
      source: the folder it came from.
      digest: SHA-256 of the weights file; None for a run.
    """

    system: Any
    state: Any
    source: pathlib.Path
    digest: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--workdir`` or ``--weights``, one of them required."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--workdir", metavar="W", help="folder of a run; its newest state is used")
    group.add_argument("--weights", metavar="DIR", help="weights folder")


def load(options: argparse.Namespace) -> Model:
    """The model that the flags name."""
    if options.workdir:
        return load_run(options.workdir)
    return load_weights(options.weights)


def load_any(folder: str) -> Model:
    """The model of a folder of either kind."""
    from mmjax.training.weights import TENSORS

    if not pathlib.Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder")
    is_weights = (pathlib.Path(folder) / TENSORS).is_file()
    return load_weights(folder) if is_weights else load_run(folder)


def load_run(folder: str) -> Model:
    """The newest state of a run."""
    from mmjax.training.restore import restore

    return Model(*restore(folder), pathlib.Path(folder))


def load_weights(folder: str) -> Model:
    """The model of a weights folder."""
    from mmjax.training.weights import TENSORS, load

    path = pathlib.Path(folder)
    system, state = load(path)
    return Model(system, state, path, hashlib.sha256((path / TENSORS).read_bytes()).hexdigest())
