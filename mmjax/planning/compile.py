"""Compiling a program for devices that are not here, and reading off what it needs."""

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
from jax.extend import core

from mmjax.planning import (
    collectives,
    flops,
    hlo,
    kernels,  # noqa: F401  registers its formulas
    traffic,
)
from mmjax.planning.abstract import Task
from mmjax.planning.roofline import Roofline, roofline
from mmjax.planning.topology import Topology
from mmjax.training.placement import Placement
from mmjax.typing import Tree

_USES = {"params": "parameters", "opt": "optimiser", "ema": "average"}
_SIZE = r"([\d.]+)([KMGT]?)"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on each device.

    Attributes:
      parameters, optimiser, average, other: of the arguments, by their shapes and shardings; other
        is batches, counters and what is carried between sampling steps.
      padding: what the compiler adds to those.
      activations: what the forward pass saves for the backward pass in loops over layers.
      temporaries: everything else that lives during a run, at its worst moment.
      code: the program itself.
      limit: what a program may use.
    """

    parameters: float
    optimiser: float
    average: float
    other: float
    padding: float
    activations: float
    temporaries: float
    code: float
    limit: float

    @property
    def needed(self) -> float:
        """All of it."""
        return sum(dataclasses.astuple(self)) - self.limit


@dataclasses.dataclass(frozen=True)
class Report:
    """What is known of a compiled program.

    Attributes:
      memory: by use. Where a program does not fit, the compiler says only how much it would need
        in all; that is then in ``temporaries``.
      fits: whether the compiler found a place for everything.
      flops: of a run over all devices, with what is computed again.
      bound: of the time of a run; None where it does not fit.
      exchanged: see :func:`mmjax.planning.collectives.summary`.
      compile_seconds: how long that took here.
    """

    memory: Memory
    fits: bool
    flops: float
    bound: Roofline | None
    exchanged: Mapping[str, Mapping[str, float]]
    compile_seconds: float


def report(task: Task, placement: Placement, topology: Topology) -> Report:
    """Compiles a task for a topology."""
    with jax.sharding.use_abstract_mesh(placement.mesh.abstract_mesh):
        traced = task.function.trace(*task.arguments)
        lowered = traced.lower(lowering_platforms=("tpu",))
    operations = flops.count_jaxpr(traced.jaxpr)
    known = argument_bytes(task.arguments, traced.jaxpr)
    began = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        memory = _too_large(known, error, topology.chip.memory)
        return Report(memory, False, operations, None, {}, time.perf_counter() - began)
    seconds = time.perf_counter() - began
    program = hlo.parse(compiled.as_text())
    exchanged = collectives.find(program, list(placement.mesh.devices.flat))
    network = sum(one.times * collectives.seconds(one, topology) for one in exchanged)
    bound = roofline(topology, operations, traffic.bytes_moved(program), network)
    memory = _memory(known, compiled.memory_analysis(), program, topology.chip.memory)
    fits = memory.needed <= memory.limit
    return Report(memory, fits, operations, bound, collectives.summary(exchanged), seconds)


def argument_bytes(arguments: Tree, jaxpr: core.ClosedJaxpr | None = None) -> dict[str, float]:
    """Bytes of arguments on each device, by use; of a ``jaxpr``'s without those it never reads."""
    sizes = dict.fromkeys(("parameters", "optimiser", "average", "other"), 0.0)
    leaves = jax.tree_util.tree_leaves_with_path(arguments)
    needed = [True] * len(leaves) if jaxpr is None else _read(jaxpr.jaxpr)
    for (path, leaf), read in zip(leaves, needed, strict=True):
        if read:
            field = str(path[1]).lstrip(".") if len(path) > 1 else ""
            sizes[_USES.get(field, "other")] += held(leaf)
    return sizes


def held(leaf: jax.ShapeDtypeStruct) -> float:
    """Bytes of an array on each device that holds a part of it."""
    shape = leaf.shape if leaf.sharding is None else leaf.sharding.shard_shape(leaf.shape)
    return float(math.prod(shape) * leaf.dtype.itemsize)


def _read(jaxpr: core.Jaxpr) -> list[bool]:
    """Which inputs something depends on."""
    needed = {id(v) for v in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(v) in needed for v in equation.outvars):
            needed |= {id(v) for v in equation.invars}
    return [id(v) in needed for v in jaxpr.invars]


def _memory(known: Mapping[str, float], found: Any, program: hlo.Program, limit: float) -> Memory:
    temporaries = float(found.temp_size_in_bytes)
    saved = min(traffic.saved_for_backward(program), temporaries)
    results = found.output_size_in_bytes - found.alias_size_in_bytes
    return Memory(
        **known,
        padding=float(found.argument_size_in_bytes) - sum(known.values()),
        activations=saved,
        temporaries=temporaries - saved + results,
        code=float(found.generated_code_size_in_bytes),
        limit=limit,
    )


def _too_large(known: Mapping[str, float], error: Exception, limit: float) -> Memory:
    """What the compiler's message says of a program that does not fit."""
    text = str(error)
    arguments = sum(known.values())
    if match := re.search(rf"Used {_SIZE} of", text):
        temporaries = _bytes(match) - arguments
    elif match := re.search(rf"\({_SIZE}\) exceeds", text):
        temporaries = _bytes(match)
    else:
        raise error
    return Memory(
        **known, padding=0.0, activations=0.0, temporaries=temporaries, code=0.0, limit=limit
    )


def _bytes(match: re.Match) -> float:
    return float(match[1]) * _UNITS[match[2]]
