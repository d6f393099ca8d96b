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
    "width at rest": ("fsdp", "context"),
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
# What only the optimiser reads: devices that share an example's tokens hold parts of it, not copies
# (Xu et al. 2004.13336). Parameters so cut would be multiplied by tokens that are cut too.
AT_REST = r"(opt|ema)/.*"
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
    width = "width at rest" if re.match(AT_REST, path) else "width"
    for ending, axes in RULES:
        if not re.search(rf"(^|/)({ending})$", path):
            continue
        if re.search(rf"(^|/)({EXPERTS})$", path):
            axes = ("experts", *axes)
        axes = tuple(width if axis == "width" else axis for axis in axes)
        if len(axes) <= len(shape):
            return divided(mesh, (None,) * (len(shape) - len(axes)) + axes, shape)
    return _fallback(mesh, MESH_AXES[width], shape)


def divided(mesh: Mesh | AbstractMesh, axes: Sequence[str | None], shape: Sequence[int]) -> P:
    """The axes of the mesh for what an array's axes mean, as many as divide them."""
    return P(*(_dividing(mesh, MESH_AXES[a], n) for a, n in zip(axes, shape, strict=True)))


def _dividing(mesh: Mesh | AbstractMesh, names: Sequence[str], size: int):
    """The longest beginning of ``names`` whose devices divide ``size``, as a part of a ``P``."""
    names = [name for name in names if mesh.shape[name] > 1]
    while size % math.prod(mesh.shape[name] for name in names):
        names.pop()
    return tuple(names) if len(names) > 1 else names[0] if names else None


def _fallback(mesh: Mesh, names: Sequence[str], shape: Sequence[int]) -> P:
    """Large arrays by the longer of their last two axes; never by the layers of a stack."""
    if math.prod(shape) < FLOOR:
        return P()
    for i in sorted(range(len(shape))[-2:], key=lambda i: -shape[i]):
        if parts := _dividing(mesh, names, shape[i]):
            return P(*(None,) * i, parts)
    return P()
