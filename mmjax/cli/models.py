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


def load(options: argparse.Namespace, *, data: bool = False) -> Model:
    """The model that the flags name, with the data of its config or without."""
    if options.workdir:
        return load_run(options.workdir, data=data)
    return load_weights(options.weights, data=data)


def load_any(folder: str) -> Model:
    """The model of a folder of either kind, without data."""
    from mmjax.training.weights import TENSORS

    path = pathlib.Path(folder)
    if not path.is_dir():
        raise UserError(f"{folder}: no such folder")
    kind = load_weights if (path / TENSORS).is_file() else load_run
    return kind(folder, data=False)


def load_run(folder: str, *, data: bool) -> Model:
    """The newest state of a run."""
    from mmjax.training.restore import restore

    return Model(*restore(folder, data=data), pathlib.Path(folder))


def load_weights(folder: str, *, data: bool) -> Model:
    """The model of a weights folder."""
    from mmjax.training.weights import TENSORS, load

    path = pathlib.Path(folder)
    system, state = load(path, data=data)
    return Model(system, state, path, hashlib.sha256((path / TENSORS).read_bytes()).hexdigest())
