"""A system trained by plain gradient descent on a mesh, and how far two such runs are apart."""

import dataclasses
import datetime
import functools
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
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
from tests.sharding.choices import Choices
from tests.tiny import FOLDER

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 5
ONE = MeshSpec(data=1)
MESHES = {
    "data": MeshSpec(data=8),
    "data, fsdp, tensor": MeshSpec(data=2, fsdp=2, tensor=2),
    "context": MeshSpec(data=4, context=2),
}
DESCENT = Sgd(Schedule(1e-2), momentum=0.9)  # it keeps the first gradients as its momentum
# A config for each kind of block, and fields of its network with which it compiles faster.
KINDS = {
    "joint": ("quickstart", {}),
    "next_token": ("text/gpt", {}),
    "towers": ("vl/clip", {}),
    "autoencoder": ("image/kl_vae", {"widths": (8,)}),
    "players": ("image/gan", {}),
}
# The largest distances between a run on a mesh and one on a single device.
TINY = np.finfo(np.float32).tiny  # a player that has not begun has no loss at all
LIMITS = {"initial": 0.0, "gradients": 1e-5, "losses": 1e-5, "parameters": 5e-5}
DOUBLE = "gradients in float64"
IN_DOUBLE = 1e-9


class Run(NamedTuple):
    """What a run leaves: parameters and gradients by path, losses of all updates by step.

    ``choices`` are what its quantisers chose.
    """

    initial: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    losses: np.ndarray
    params: Mapping[str, np.ndarray]
    compiled: int
    choices: Choices


def descending(name: str, accumulate: int = 1, **network: Any) -> System:
    """The tiny form of a config with gradient descent, fields of its one network replaced."""
    config = configs.plain(configs.load(f"{FOLDER}/{name}.py:tiny"))
    if network:
        (only,) = config["networks"].values()
        only.update(network)
    system = build(config)
    networks = {key: _in_a_loop(module) for key, module in system.networks.items()}
    updates = {
        key: dataclasses.replace(update, optimiser=DESCENT)
        for key, update in system.updates.items()
    }
    train = dataclasses.replace(system.train, accumulate=accumulate)
    return dataclasses.replace(system, networks=networks, updates=updates, train=train)


def _in_a_loop(network: nn.Module) -> nn.Module:
    """The network with its stacks in a loop, which compiles faster, unless its config says more."""
    return network.clone(scan_unroll=1) if getattr(network, "scan_unroll", 1) == 0 else network


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


def run(system: System, spec: MeshSpec, given: Choices | None = None, steps: int = STEPS) -> Run:
    """A few steps on a mesh, with numbers of the type that ``jnp.float32`` names.

    Args:
      system: what is trained.
      spec: the mesh.
      given: choices that quantisers are given in place of their own.
      steps: how many.
    """
    pipeline = make_pipeline(system)
    batches = [_cast(pipeline.batch(step)) for step in range(steps)]
    placement, compiles, choices = placed(system, spec, batches[0]), Compiles(), given or Choices()
    state, step = placement.begin(), placement.jit_step()
    initial, gradients, losses = by_path(state.params), {}, []
    with choices.give() if given else choices.keep():
        for number, batch in enumerate(batches):
            choices.step = number
            state, logged = step(state, placement.put(batch))
            values = logged.read()
            jax.effects_barrier()
            losses.append([values[f"loss/{name}/total"][0] for name in system.updates])
            if not gradients:
                for name in system.updates:
                    gradients |= by_path(optax.tree.get(state.opt[name], "trace"))
    compiled = compiles.of("step")
    return Run(initial, gradients, np.array(losses), by_path(state.params), compiled, choices)


def _cast(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: x.astype(jnp.float32) if x.dtype.kind == "f" else x for k, x in batch.items()}


@functools.cache
def on_one_device(name: str, steps: int = STEPS, **changes: Any) -> Run:
    """The run of a config that those on meshes are compared with."""
    return run(descending(name, **changes), ONE, steps=steps)


def assert_as_on_one_device(mesh: str, name: str, **changes: Any) -> None:
    figures, compiled = compared(mesh, name, **changes)
    assert not beyond(figures) and compiled == 1, figures


def compared(mesh: str, name: str, **changes: Any) -> tuple[dict[str, float], int]:
    """The distances of the run on a mesh, and how often it compiled its step.

    Where first gradients are too far apart, also their distance in float64: a network that
    amplifies rounding, such as the logarithm of a magnitude next to nothing, tells there whether
    the two orders of its sums are the same sums.
    """
    expected = on_one_device(name, **changes)
    given = expected.choices.again()
    found = run(descending(name, **changes), MESHES[mesh], given=given)
    figures = apart(found, expected)
    if given.share is not None:
        figures["other choices"] = given.share
    if "gradients" in beyond(figures):
        figures[DOUBLE] = in_double(mesh, name, **changes)
    return figures, found.compiled


def in_double(mesh: str, name: str, **changes: Any) -> float:
    """The distance of the first gradients in float64, measured by a process of its own."""
    command = [sys.executable, "-m", "tests.sharding.double", mesh, name, json.dumps(changes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return float(done.stdout.split()[-1])


def by_path(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {path: np.array(leaf) for path, leaf in tree.flatten(params).items()}


def apart(found: Run, expected: Run) -> dict[str, float]:
    """The distances that ``LIMITS`` names."""
    difference = np.abs(found.losses - expected.losses)
    differ = [not np.array_equal(found.initial[path], x) for path, x in expected.initial.items()]
    return {
        "initial": float(sum(differ)),
        "gradients": distance(found.gradients, expected.gradients),
        "losses": float(np.max(difference / np.maximum(np.abs(expected.losses), TINY))),
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
    """The distances that are too large, or no numbers; of gradients those in float64, if there."""
    limits = dict(LIMITS)
    if DOUBLE in figures:
        del limits["gradients"]
        limits[DOUBLE] = IN_DOUBLE
    return {name: figures[name] for name, limit in limits.items() if not figures[name] <= limit}


def tenth(names: Sequence[str]) -> list[str]:
    """A tenth of the names, other ones each day."""
    today = datetime.date.today().toordinal()
    return [name for place, name in enumerate(names) if place % 10 == today % 10]
