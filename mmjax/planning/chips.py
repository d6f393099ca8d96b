"""What TPU chips can do: the vendor's figures, and the memory that its compiler lets a program use.

Sources, read in November 2026: docs.cloud.google.com/tpu/docs/{v5e,v5p,v6e,tpu7x}, tables "System
architecture": peak bf16, HBM bandwidth, bidirectional ICI bandwidth and DCN bandwidth per chip (for
v5e and v6e from the NICs of a host of 8 chips). A chip's links are the ports of its torus: two an
axis. ``memory`` is the limit in the compiler's own message about a program that is too large.
"""

import dataclasses

from mmjax.builder import nearest
from mmjax.errors import UserError

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """A TPU generation. Rates are per JAX device, of which a chip may be several.

    Attributes:
      name: as in ``v5p:4x4x8``.
      devices: JAX devices per chip.
      peak: bf16 operations a second.
      memory: bytes of HBM that programs can use.
      memory_rate: bytes a second between HBM and the cores.
      link_rate: bytes a second over the links along one torus axis, one way, both neighbours
        together.
      network_rate: bytes a second to other slices, one way.
      axes: of the torus.
      wraps: length of an axis from which on its ends are joined.
    """

    name: str
    devices: int
    peak: float
    memory: float
    memory_rate: float
    link_rate: float
    network_rate: float
    axes: int
    wraps: int


def _chip(name, devices, peak, memory, memory_rate, links, network, axes, wraps) -> Chip:
    """TFLOP/s, GB/s, Gbit/s of a chip as printed; bidirectional ``links`` are those of all axes."""
    return Chip(
        name, devices, peak * 1e12 / devices, memory * GIB, memory_rate * 1e9 / devices,
        links * 1e9 / 2 / axes / devices, network * 1e9 / 8 / devices, axes, wraps,
    )  # fmt: skip


CHIPS = {
    chip.name: chip
    for chip in (
        _chip("v5e", 1, 197, 15.75, 800, 400, 25, 2, 16),
        _chip("v5p", 1, 459, 95.74, 2765, 1200, 50, 3, 4),
        _chip("v6e", 1, 918, 31.25, 1600, 800, 100, 2, 16),
        _chip("tpu7x", 2, 2307, 94.75, 7380, 1200, 100, 3, 4),
    )
}


def chip(name: str) -> Chip:
    """The chip of a name such as ``v5e``; UserError if there is none."""
    if name not in CHIPS:
        raise UserError(f"--topology: no chip {name!r}{nearest(name, CHIPS)}")
    return CHIPS[name]
