"""The first state of a run that begins with other weights; see :class:`Init`."""

import functools
import json
import pathlib
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from mmjax import tree
from mmjax.errors import UserError
from mmjax.files import write_text
from mmjax.sharding.multihost import is_main
from mmjax.training.init_rules import Assignment
from mmjax.training.placement import Placement
from mmjax.training.state import State, begin, init_networks
from mmjax.training.system import System
from mmjax.training.weight_sources import Source, open_source
from mmjax.typing import Array, Batch, Params

REPORT = "init.json"


def warm_start(placement: Placement, workdir: pathlib.Path) -> Callable[[Batch], State] | None:
    """What makes the first state where the config has a section ``init``, else None.

    What was taken is written to ``init.json`` in the workdir. The weights are read when the state
    is made and not before: a run that goes on needs them no more.

    Args:
      placement: the system on its mesh.
      workdir: of the run that begins.
    """
    init = placement.system.init
    if init is None:
        return None

    def first_state(batch: Batch) -> State:
        abstract = placement.abstract
        here = {**tree.flatten(abstract.params), **tree.flatten(abstract.mutable)}
        source = open_source(init.folder)
        found = init.assign(here, source.specs, source.name)
        arrays = source.read({there: here[path] for path, there in found.taken.items()})
        _require_finite(arrays, source.name)
        if is_main():
            _report(workdir / REPORT, found, arrays, source)
        taken = {path: arrays[there] for path, there in found.taken.items()}
        begin_with = functools.partial(_begin, placement.system)
        return jax.jit(begin_with, out_shardings=placement.state(abstract))(batch, taken)

    return first_state


def _begin(system: System, batch: Batch, taken: Mapping[str, Array]) -> State:
    fresh = init_networks(system, batch, jax.random.key(system.seed))
    return begin(system, batch, *(_replaced(part, taken) for part in fresh))


def _replaced(fresh: Params, taken: Mapping[str, Array]) -> Params:
    # Copied, for two paths may take the same array, and a step donates each of its own.
    flat = {path: jnp.copy(taken.get(path, leaf)) for path, leaf in tree.flatten(fresh).items()}
    return tree.unflatten(flat)


def _require_finite(arrays: Mapping[str, Array], name: str) -> None:
    inexact = {path: x for path, x in arrays.items() if jnp.issubdtype(x.dtype, jnp.inexact)}
    fine = jax.jit(lambda found: {path: jnp.isfinite(x).all() for path, x in found.items()})
    for path, good in fine(inexact).items():
        if not good:
            raise UserError(f"config.init: {path} of {name} holds values that are not finite")


def _report(path: pathlib.Path, found: Assignment, arrays: Mapping, source: Source) -> None:
    count = tree.count(dict(arrays))
    print(
        f"begins with {len(found.taken)} arrays ({count:,} numbers) of {source.name}; "
        f"{len(found.fresh)} initialised, {len(found.unused)} left behind: see {path}"
    )
    report = {"from": source.name, "numbers": count, **found._asdict()}
    write_text(path, json.dumps(report, indent=1) + "\n")
