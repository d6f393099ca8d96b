"""The mesh: devices along named axes. The only place where one is made."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from mmjax.errors import UserError

# From the slowest links to the fastest: neighbours along the last axis talk the most.
AXES = ("slices", "data", "fsdp", "expert", "context", "tensor")


@dataclasses.dataclass(frozen=True)
class MeshSpec:
    """How many devices lie along each axis; the product is all of them.

    Attributes:
      slices: groups of devices that only a slow network joins; each holds a whole copy.
      data: copies of the parameters within a slice, each with its own rows of the batch. -1, here
        or on one other axis, is whatever number is left.
      fsdp: parts of every parameter; they also split the batch (Zhao et al. 2304.11277).
      tensor: parts of attention heads and hidden channels (Shoeybi et al. 1909.08053).
      context: parts of each example's tokens (Jacobs et al. 2309.14509).
      expert: groups of experts.
    """

    slices: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    context: int = 1
    expert: int = 1

    def __post_init__(self):
        sizes = dataclasses.asdict(self)
        if wrong := [name for name, size in sizes.items() if size < 1 and size != -1]:
            raise ValueError(f"{wrong[0]} must be at least 1, or -1 for what is left")
        if len([size for size in sizes.values() if size == -1]) > 1:
            raise ValueError("only one axis can be -1, what is left")

    def sizes(self, devices: int) -> dict[str, int]:
        """Devices along each axis in the order of ``AXES``, -1 replaced.

        Raises:
          UserError: the sizes do not multiply to ``devices``.
        """
        sizes = {name: getattr(self, name) for name in AXES}
        known = math.prod(size for size in sizes.values() if size != -1)
        left, rest = divmod(devices, known)
        if rest or (left != 1 and -1 not in sizes.values()):
            described = " * ".join(f"{name} {size}" for name, size in sizes.items() if size > 1)
            raise UserError(
                f"config.mesh: {described or 'one device'} takes {known} devices, of which there "
                f"are {devices}; the sizes must multiply to {devices} (-1 is what is left)"
            )
        return {name: left if size == -1 else size for name, size in sizes.items()}


def make_mesh(spec: MeshSpec, devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh over ``devices``, by default all; neighbours in it are neighbours in the network.

    Axes are of the type Auto: the compiler carries shardings through the network, which knows
    nothing of them.

    Raises:
      UserError: see :meth:`MeshSpec.sizes`.
    """
    devices = jax.devices() if devices is None else list(devices)
    sizes = spec.sizes(len(devices))
    groups = {getattr(device, "slice_index", 0) for device in devices}
    if sizes["slices"] == len(groups) > 1:
        within = (1, *list(sizes.values())[1:])
        between = (sizes["slices"], *(1 for _ in AXES[1:]))
        placed = mesh_utils.create_hybrid_device_mesh(within, between, devices)
    else:  # one slice, or a machine that does not tell them apart
        placed = mesh_utils.create_device_mesh(
            tuple(sizes.values()), devices, allow_split_physical_axes=True
        )
    return Mesh(placed, AXES, axis_types=(AxisType.Auto,) * len(AXES))
