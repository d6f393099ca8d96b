"""Trying meshes, recomputation and batches, and ranking what fits."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import jax

from mmjax.errors import UserError
from mmjax.planning.choice import Choice, trained
from mmjax.planning.compile import argument_bytes
from mmjax.sharding.mesh import MeshSpec, make_mesh
from mmjax.sharding.rules import shardings
from mmjax.training.placement import Placement

REMAT = ("none", "dots", "full")
WIDEST = 8  # devices that share an example's tokens, or a layer's heads


def meshes(devices: int) -> Iterator[dict[str, int]]:
    """Meshes of one slice, the simple ones first: powers of two along each axis."""
    powers = [2**i for i in range(devices.bit_length()) if devices % 2**i == 0]
    narrow = [n for n in powers if n <= WIDEST]
    for tensor, context, data in itertools.product(narrow, narrow, powers):
        if data * context * tensor <= devices:
            yield {
                "data": data, "fsdp": devices // (data * context * tensor), "context": context,
                "tensor": tensor,
            }  # fmt: skip


def candidates(choice: Choice, placement: Placement, limit: float) -> Iterator[Choice]:
    """Every mesh on which the state fits, with every policy of recomputation and two batches.

    The batches are the config's and half of it, where the mesh divides them.
    """
    system = placement.system
    policies = [
        [f"networks.{name}.remat={policy}" for policy in REMAT]
        for name, network in system.networks.items()
        if hasattr(network, "remat")
    ]
    sizes = (system.data.batch_size, system.data.batch_size // 2)
    for mesh in meshes(placement.mesh.size):
        if state_bytes(placement, mesh) > limit:
            continue
        for size, *remat in itertools.product(sizes, *policies):
            if size % (mesh["data"] * mesh["fsdp"]) == 0:
                overrides = (*choice.overrides, f"data.batch_size={size}", *remat)
                yield dataclasses.replace(choice, mesh=mesh, overrides=overrides)


def state_bytes(placement: Placement, sizes: dict[str, int]) -> float:
    """Bytes of the state on each device of another mesh."""
    mesh = make_mesh(MeshSpec(**sizes), list(placement.mesh.devices.flat))
    state = jax.tree.map(
        lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        placement.abstract,
        shardings(mesh, placement.abstract),
    )
    return sum(argument_bytes((state,)).values())


def sweep(choice: Choice, placement: Placement, limit: float, most: int) -> list[dict[str, Any]]:
    """What fits, the most examples a second first.

    Args:
      choice: where to start from.
      placement: of that choice.
      limit: bytes that a program may use.
      most: programs to compile; of more candidates an even selection is taken.
    """
    possible = list(candidates(choice, placement, limit))
    stride = max(1, -(-len(possible) // most))
    rows = [row for other in possible[::stride] if (row := _row(other))]
    return sorted(rows, key=lambda row: -row.get("examples_per_second", 0.0))


def _row(choice: Choice) -> dict[str, Any] | None:
    """One choice, compiled; None if its mesh does not suit the network, such as its heads."""
    try:
        report, there, _ = trained(choice)
    except UserError:
        return None
    row = {
        "arguments": choice.arguments,
        "mesh": {name: size for name, size in there.mesh.shape.items() if size > 1},
        "batch": there.system.data.batch_size,
        "remat": [getattr(n, "remat", "-") for n in there.system.networks.values()],
        "needed": report.memory.needed,
        "fits": report.fits,
    }
    if report.bound is not None:
        row |= {"seconds": report.bound.seconds, "binds": report.bound.binds}
        row["examples_per_second"] = row["batch"] / report.bound.seconds
    return row
