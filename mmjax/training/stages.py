"""Stages: one config that trains in several parts, each from the parameters of the one before.

``config.stages`` is a group of named stages, each with

* ``order``: its place, and ``steps``: its length;
* ``init_copy``: ``{path: old path}`` of parameters that begin as a copy of others;
* sections of the config with what differs from it. ``None`` in place of a named part (a network,
  an update, a stream) leaves it out; a group with a ``_target_`` replaces the whole group.

The end of a stage is a checkpoint. The next one initialises its own networks, takes over every
parameter and collection that both have, and compiles its own step. A section ``init`` (see
:class:`mmjax.training.init_rules.Init`) is for the first one alone.
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mmjax import tree
from mmjax.builder import TARGET
from mmjax.config import Config, plain
from mmjax.errors import UserError
from mmjax.training.state import State, begin, init_networks
from mmjax.training.system import System
from mmjax.typing import Batch, Params

FIELDS = ("order", "steps", "init_copy")


class Stage(NamedTuple):
    """One part of a run: its whole config, without ``stages``, and what it copies where."""

    name: str
    config: dict[str, Any]
    init_copy: Mapping[str, str]


def expand(config: Config) -> list[Stage]:
    """The stages of a config in order; a config without stages is a single one without a name."""
    base = plain(config)
    described = base.pop("stages", None)
    if not described:
        return [Stage("", base, {})]
    first, *others = sorted(described, key=lambda name: (described[name].get("order", 0), name))
    later = {section: value for section, value in base.items() if section != "init"}
    for name in others:
        if "init" in described[name]:
            raise UserError(
                f"config.stages.{name}.init: the stage begins with what {first!r} leaves; only the "
                "first may take other weights"
            )
    return [
        _stage(first, described[first], base),
        *(_stage(name, described[name], later) for name in others),
    ]


def _stage(name: str, described: Mapping[str, Any], base: Mapping[str, Any]) -> Stage:
    if "steps" not in described:
        raise UserError(f"config.stages.{name}.steps: a stage needs its length")
    merged = _merge(base, {k: v for k, v in described.items() if k not in FIELDS})
    merged["train"] = {**merged["train"], "steps": described["steps"]}
    if "seed" not in described:  # draws of its own, or each stage would see the same again
        merged["seed"] = zlib.crc32(f"{base.get('seed', 0)}/{name}".encode()) >> 1
    return Stage(name, merged, dict(described.get("init_copy", {})))


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    merged = dict(base)
    for key, change in changes.items():
        old = merged.get(key)
        if change is None and depth == 1 and isinstance(old, Mapping):
            del merged[key]  # a named part is left out
        elif isinstance(change, Mapping) and isinstance(old, Mapping) and TARGET not in change:
            merged[key] = _merge(old, change, depth + 1)
        else:
            merged[key] = change
    return merged


def carry_over(old: Params, new: Params, init_copy: Mapping[str, str]) -> Params:
    """``new`` with every leaf that ``old`` has at the same path, or at that of ``init_copy``.

    Args:
      old: parameters, or collections, of the stage before.
      new: freshly initialised ones; they say what exists and in which shapes.
      init_copy: ``{path: old path}``, each a whole path or its beginning.

    Raises UserError where a shape differs.
    """
    before, carried = tree.flatten(old), {}
    for path, leaf in tree.flatten(new).items():
        source = tree.renamed(path, init_copy)
        found = before.get(source, leaf)
        if found.shape != leaf.shape:
            raise UserError(
                f"{path}: has shape {list(leaf.shape)}, but {source} of the stage before has "
                f"{list(found.shape)}"
            )
        carried[path] = jnp.array(found, leaf.dtype)  # copied: a step donates what it is given
    return tree.unflatten(carried)


def begin_after(system: System, batch: Batch, old: State, init_copy: Mapping[str, str]) -> State:
    """The state at step 0 of a stage that follows on ``old``; averages begin at its parameters.

    Raises UserError where a shape differs or an entry of ``init_copy`` copies nothing.
    """
    params, mutable = init_networks(system, batch, jax.random.key(system.seed))
    before = {**tree.flatten(old.params), **tree.flatten(old.mutable)}
    fresh = [*tree.flatten(params), *tree.flatten(mutable)]
    for target, source in init_copy.items():
        under = [path for path in fresh if tree.within(path, target)]
        if not any(tree.renamed(path, init_copy) in before for path in under):
            raise UserError(f"init_copy: nothing to copy from {source!r} to {target!r}")
    params = carry_over(old.params, params, init_copy)
    return begin(system, batch, params, carry_over(old.mutable, mutable, init_copy))
