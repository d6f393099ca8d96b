"""A system trained by plain gradient descent on a mesh, and how far two such runs are apart."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax import config as configs
from mmjax import tree
from mmjax.sharding.mesh import MeshSpec, make_mesh
from mmjax.training.batches import make_pipeline
from mmjax.training.compiles import Compiles
from mmjax.training.optimiser import Schedule, Sgd
from mmjax.training.placement import Placement
from mmjax.training.system import System, build
from tests.tiny import FOLDER

STEPS = 5
ONE = MeshSpec(data=1)
MESHES = {
    "data": MeshSpec(data=8),
    "data, fsdp, tensor": MeshSpec(data=2, fsdp=2, tensor=2),
    "context": MeshSpec(data=4, context=2),
}
DESCENT = Sgd(Schedule(1e-2), momentum=0.9)  # it keeps the first gradients as its momentum
# The largest distances between a run on a mesh and one on a single device.
LIMITS = {"initial": 0.0, "gradients": 1e-5, "losses": 1e-5, "parameters": 5e-5}


class Run(NamedTuple):
    """What a run leaves: parameters and gradients by path, losses of all updates by step."""

    initial: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    losses: np.ndarray
    params: Mapping[str, np.ndarray]
    compiled: int


def descending(name: str, accumulate: int = 1, **network: Any) -> System:
    """The tiny form of a config with gradient descent, fields of its one network replaced."""
    config = configs.plain(configs.load(f"{FOLDER}/{name}.py:tiny"))
    if network:
        (only,) = config["networks"].values()
        only.update(network)
    system = build(config)
    updates = {
        key: dataclasses.replace(update, optimiser=DESCENT)
        for key, update in system.updates.items()
    }
    train = dataclasses.replace(system.train, accumulate=accumulate)
    return dataclasses.replace(system, updates=updates, train=train)


def placed(system: System, spec: MeshSpec, batch: Mapping[str, Any]) -> Placement:
    """The system on the first devices that the mesh needs."""
    count = np.prod(dataclasses.astuple(spec))
    abstract = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in batch.items()}
    return Placement(system, make_mesh(spec, jax.devices()[:count]), abstract)


def on(spec: MeshSpec, function: Callable[..., Any], where: Any = None) -> Callable[..., Any]:
    """``function`` compiled for a mesh of all devices; by default each gets whole inputs."""
    mesh = make_mesh(spec)

    def traced(*arguments):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*arguments)

    return jax.jit(traced, in_shardings=NamedSharding(mesh, P()) if where is None else where)


def run(system: System, spec: MeshSpec) -> Run:
    """A few steps on a mesh."""
    pipeline = make_pipeline(system)
    batches = [pipeline.batch(step) for step in range(STEPS)]
    placement, compiles = placed(system, spec, batches[0]), Compiles()
    state, step = placement.begin(), placement.jit_step()
    initial, gradients, losses = by_path(state.params), {}, []
    for batch in batches:
        state, logged = step(state, placement.put(batch))
        losses.append([float(logged[f"loss/{name}/total"][0]) for name in system.updates])
        if not gradients:
            for name in system.updates:
                gradients |= by_path(optax.tree.get(state.opt[name], "trace"))
    return Run(
        initial, gradients, np.array(losses), by_path(state.params), compiles.of("step")
    )  # fmt: skip


def by_path(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {path: np.array(leaf) for path, leaf in tree.flatten(params).items()}


def apart(found: Run, expected: Run) -> dict[str, float]:
    """The distances that ``LIMITS`` names."""
    differ = [not np.array_equal(found.initial[path], x) for path, x in expected.initial.items()]
    return {
        "initial": float(sum(differ)),
        "gradients": distance(found.gradients, expected.gradients),
        "losses": float(np.max(np.abs(found.losses / expected.losses - 1))),
        "parameters": distance(found.params, expected.params),
    }


def distance(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """The largest difference of a leaf, relative to its norm.

    Of a leaf without any to speak of, such as the gradient of a key's bias, which is zero but for
    rounding: relative to a hundredth of what an average leaf has.
    """
    assert found.keys() == expected.keys()
    whole = np.sqrt(sum(np.sum(np.square(x)) for x in expected.values()))
    floor = 1e-2 * whole / np.sqrt(len(expected))
    return max(
        float(np.linalg.norm(found[path] - x) / max(np.linalg.norm(x), floor))
        for path, x in expected.items()
    )


def beyond(figures: Mapping[str, float]) -> dict[str, float]:
    """The distances that are too large, or no numbers."""
    return {name: value for name, value in figures.items() if not value <= LIMITS[name]}


def tenth(names: Sequence[str]) -> list[str]:
    """A tenth of the names, other ones each day."""
    today = datetime.date.today().toordinal()
    return [name for place, name in enumerate(names) if place % 10 == today % 10]
