"""Slices of TPU chips as ``v5p:4x4x8``, and their devices without having any."""

import dataclasses
import math
import re

from mmjax.errors import UserError
from mmjax.planning.chips import Chip, chip

_FORM = re.compile(r"(\w+):(\d+(?:x\d+)+)")


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice, or several equal ones that are joined by the slower network.

    Attributes:
      chip: the generation.
      shape: chips along each axis of the torus.
      slices: how many.
    """

    chip: Chip
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """Such as ``v5p:4x4x8``."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def chips(self) -> int:
        """In all slices."""
        return math.prod(self.shape) * self.slices

    @property
    def devices(self) -> int:
        """JAX devices in all slices."""
        return self.chips * self.chip.devices

    def wrapped(self, axis: int) -> bool:
        """Whether the ends of a torus axis are joined."""
        return axis < len(self.shape) and self.shape[axis] % self.chip.wraps == 0


def parse(text: str, slices: int = 1) -> Topology:
    """The topology that a user named.

    Raises:
      UserError: it is not of the form ``chip:AxBxC``, or the chip's torus has other axes.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UserError(f"--topology: {text!r} is not of the form v5p:4x4x8 or v5e:4x4")
    kind, shape = chip(match[1]), tuple(map(int, match[2].split("x")))
    if len(shape) != kind.axes:
        raise UserError(f"--topology: {kind.name} has {kind.axes} axes, {text!r} has {len(shape)}")
    return Topology(kind, shape, slices)


def devices(topology: Topology) -> list:
    """Descriptions of the devices, to compile for; needs libtpu.

    Raises:
      UserError: libtpu is not installed, or knows no such slice.
    """
    from jax.experimental import topologies

    try:
        described = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, num_slices=topology.slices
        )
    except Exception as error:  # of whatever type libtpu raises in this version
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"--topology: cannot plan for {topology.name} ({reason}); "
            "it needs libtpu: pip install 'mmjax[plan]'"
        ) from error
    return list(described.devices)
