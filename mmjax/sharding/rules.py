"""Which part of each parameter a device holds: one table from paths to axes of the mesh.

Pairs of matrices are cut in the manner of Megatron (Shoeybi et al. 1909.08053, section 3): the
first by columns and the second by rows, so that what lies between them is never gathered. With both
cut alike the compiler of jax 0.10 and 0.12 returns wrong gradients on a data, fsdp, tensor mesh;
``tests/sharding`` holds the case.
"""

import math
import re
from collections.abc import Sequence

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.typing import Tree

# What an axis of an array means -> the axes of the mesh that share it out.
MESH_AXES: dict[str | None, tuple[str, ...]] = {
    "batch": ("slices", "data", "fsdp"),
    "tokens": ("context",),
    "width": ("fsdp",),
    "heads": ("tensor",),
    "hidden": ("tensor",),
    "vocabulary": ("tensor",),
    "experts": ("expert",),
    None: (),
}

# End of a parameter's path -> what its last axes mean. Axes before those (the layers of a stack)
# stay whole; the first rule that matches holds.
RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"(query|key|value)/linear/kernel", ("width", "heads")),
    (r"(query|key|value)/linear/bias", ("heads",)),
    (r"out/kernel", ("heads", "width")),
    (r"up/kernel", ("width", "hidden")),
    (r"up/bias", ("hidden",)),
    (r"down/kernel", ("hidden", "width")),
    (r"table|embedding", ("vocabulary", "width")),
)
EXPERTS = r"experts/.*"  # the axis before those of the rule counts experts

# Numbers in an array from which on it is worth cutting where no rule speaks of it.
FLOOR = 2**14


def shardings(mesh: Mesh, abstract_tree: Tree) -> Tree:
    """A sharding for every leaf of a tree of arrays or shapes.

    Parameters, the moments of an optimiser and moving averages end in the same paths and are cut
    alike. An axis that the mesh does not divide stays whole.
    """

    def of(path, leaf):
        keys = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", ""))) for k in path)
        return NamedSharding(mesh, spec(mesh, "/".join(map(str, keys)), leaf.shape))

    return jax.tree_util.tree_map_with_path(of, abstract_tree)


def spec(mesh: Mesh, path: str, shape: Sequence[int]) -> P:
    """How the array ``shape`` at ``path`` is cut."""
    for ending, axes in RULES:
        if not re.search(rf"(^|/)({ending})$", path):
            continue
        if re.search(rf"(^|/)({EXPERTS})$", path):
            axes = ("experts", *axes)
        if len(axes) <= len(shape):
            return divided(mesh, (None,) * (len(shape) - len(axes)) + axes, shape)
    return _fallback(mesh, shape)


def divided(mesh: Mesh | AbstractMesh, axes: Sequence[str | None], shape: Sequence[int]) -> P:
    """The axes of the mesh for what an array's axes mean, where they divide them."""
    names = []
    for axis, size in zip(axes, shape, strict=True):
        along = MESH_AXES[axis]
        parts = math.prod(mesh.shape[name] for name in along)
        names.append(along if parts > 1 and size % parts == 0 else None)
    return P(*(name[0] if name and len(name) == 1 else name for name in names))


def _fallback(mesh: Mesh, shape: Sequence[int]) -> P:
    """Large arrays by the longer of their last two axes; never by the layers of a stack."""
    parts = mesh.shape["fsdp"]
    cuttable = [i for i in range(len(shape))[-2:] if shape[i] % parts == 0]
    if parts == 1 or math.prod(shape) < FLOOR or not cuttable:
        return P()
    longest = max(cuttable, key=lambda i: shape[i])
    return P(*("fsdp" if i == longest else None for i in range(len(shape))))
