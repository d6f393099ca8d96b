"""Spoils the newest checkpoint of a run, over and over, and restores."""

import pathlib
import random
from typing import Any

import jax
import numpy as np

from mmjax.training import manifest
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.restore import abstract_state, build_saved
from mmjax.training.workdir import Workdir
from tests.training.damage import damage


def spoil(workdir: str, cases: list[int], seed: int) -> list[dict[str, Any]]:
    """One case for each of the numbers: how a file was spoiled, and what came of it."""
    folder = Workdir(pathlib.Path(workdir))
    checkpoints = Checkpoints(folder.checkpoints, keep=3)
    abstract = abstract_state(build_saved(folder.config(), data=False))
    before, last = checkpoints.steps()[-2:]
    newest = checkpoints.folder / str(last)
    whole = {p: p.read_bytes() for p in [*manifest.files(newest), newest.with_suffix(".sha256")]}
    expected = checkpoints.restore(abstract, before)
    found = []
    for number in cases:
        path, kind = damage(newest, random.Random(f"{seed} {number}"))
        said: list[str] = []
        state = checkpoints.restore_newest(abstract, said.append)
        found.append({
            "damage": kind,
            "file": path.relative_to(checkpoints.folder).as_posix(),
            "named": len(said) == 1 and path.name in said[0],
            "step before used": state is not None and _same(state, expected),
        })  # fmt: skip
        for name, content in whole.items():
            name.write_bytes(content)
    checkpoints.close()
    return found


def _same(state, expected) -> bool:
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)
