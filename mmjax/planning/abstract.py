"""The programs of a system with the shapes and places of their arguments; no array is made."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.objectives.base import Request
from mmjax.sharding.mesh import MeshSpec, make_mesh
from mmjax.sharding.rules import MESH_AXES
from mmjax.training.placement import Placement
from mmjax.training.state import State, sampling_context
from mmjax.training.step import make_step
from mmjax.training.system import System
from mmjax.typing import Tree


@dataclasses.dataclass(frozen=True)
class Task:
    """A function that a run compiles, and what it is called with.

    Attributes:
      name: ``"train"`` or ``"sample"``.
      function: jitted.
      arguments: shapes with shardings.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple


def place(system: System, devices: list) -> Placement:
    """The system on the mesh that it asks for."""
    return Placement(system, make_mesh(system.mesh, devices))


def training(placement: Placement) -> Task:
    """The step that ``mmjax train`` compiles."""
    return Task("train", placement.jit_step(), (placement.abstract, placement.abstract_batch))


def sampling(placement: Placement) -> Task | None:
    """A step of the sampler, or all of a sampling that has no steps; None if there is none.

    All generative streams are wanted that can be made of nothing, for nothing is given.
    ``evaluation.batch_size`` clips are made at once, or as many more as the devices that share a
    batch ask for.
    """
    system = placement.system
    specs, objective, sampler = system.streams, system.objective, system.sampler
    names = [name for name in specs if name not in objective.reconstructs]
    want = tuple(name for name in names if specs[name].process.generative)
    groups = math.prod(placement.mesh.shape[axis] for axis in MESH_AXES["batch"])
    batch = -(-system.evaluation.batch_size // groups) * groups
    state, key = placement.abstract, jax.eval_shape(lambda: jax.random.key(0))

    def model(state: State):
        return objective.model(sampling_context(system, state))

    def start(batch: int, state: State, key):
        begun = objective.begin(Request({}, want, batch), key)
        return sampler.start(model(state), specs, begun, want, key)

    def advance(state: State, carry, index):
        return sampler.advance(model(state), specs, want, carry, index)

    def whole(state: State, key):
        return objective.sample(sampling_context(system, state), Request({}, want, batch), key)

    if not hasattr(objective, "begin"):
        arguments = (state, key)
        return Task("sample", jax.jit(placement.under_mesh(whole)), arguments) if want else None
    if sampler is None:
        return None
    carry, twice = (
        jax.eval_shape(placement.under_mesh(functools.partial(start, size)), state, key)
        for size in (batch, 2 * batch)
    )
    arguments = (state, _share_out(carry, twice, placement), jax.ShapeDtypeStruct((), jnp.int32))
    return Task("sample", jax.jit(placement.under_mesh(advance)), arguments)


def model_step(system: System) -> Task:
    """The training step without recomputation, for one device: what the model itself asks for."""
    plain = {
        name: network.clone(remat="none") if hasattr(network, "remat") else network
        for name, network in system.networks.items()
    }
    system = dataclasses.replace(system, networks=plain)
    alone = Placement(system, make_mesh(MeshSpec(), jax.devices()[:1]))
    return Task("train", make_step(system), (alone.abstract, alone.abstract_batch))


def _share_out(carry: Tree, twice: Tree, placement: Placement) -> Tree:
    """The carry with its rows shared out: the axes that are longer for twice the batch."""

    def placed(leaf, longer):
        axes = (
            MESH_AXES["batch"] if n != m else None
            for n, m in zip(leaf.shape, longer.shape, strict=True)
        )
        sharding = NamedSharding(placement.mesh, P(*axes))
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(placed, carry, twice)
