"""TPU slices by name, such as ``v5p:4x4x8``: what clouds call them and how many hosts they have."""

import dataclasses
import math
import re

from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Generation:
    """A kind of chip.

    Attributes:
      axes: of a slice's topology.
      accelerator: what Cloud TPU calls a slice, without its size; None where only GKE has them.
      cores: of a chip, as that name counts them.
      runtime: software version of the TPU VM.
      selector: what GKE calls the accelerator.
      largest_host: chips of a slice that may still be on one host.
    """

    axes: int
    accelerator: str | None
    cores: int
    runtime: str | None
    selector: str
    largest_host: int


# docs.cloud.google.com: tpu/docs (runtimes, queued-resources), kubernetes-engine/docs/concepts
# (plan-tpus, tpu-ironwood): TPU7x has no queued resources; hosts of larger slices have 4 chips.
GENERATIONS = {
    "v4": Generation(3, "v4", 2, "tpu-ubuntu2204-base", "tpu-v4-podslice", 4),
    "v5e": Generation(2, "v5litepod", 1, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice", 8),
    "v5p": Generation(3, "v5p", 2, "v2-alpha-tpuv5", "tpu-v5p-slice", 4),
    "v6e": Generation(2, "v6e", 1, "v2-alpha-tpuv6e", "tpu-v6e-slice", 8),
    "tpu7x": Generation(3, None, 2, None, "tpu7x", 4),
}
_HOST = 4  # chips


@dataclasses.dataclass(frozen=True)
class Slice:
    """A slice: its generation and its topology, such as ``4x4x8``."""

    generation: Generation
    topology: str

    @property
    def chips(self) -> int:
        """How many chips it has."""
        return math.prod(map(int, self.topology.split("x")))

    @property
    def hosts(self) -> int:
        """How many hosts, each of which runs a process."""
        return 1 if self.chips <= self.generation.largest_host else self.chips // _HOST

    @property
    def accelerator_type(self) -> str:
        """Cloud TPU's name of it."""
        if self.generation.accelerator is None:
            raise UserError("--slice: Cloud TPU has no queued resources for TPU7x; use launch.gke")
        return f"{self.generation.accelerator}-{self.chips * self.generation.cores}"


def parse(name: str) -> Slice:
    """The slice of a name such as ``v5e:16x16``.

    Raises:
      UserError: there is none.
    """
    kind, _, topology = name.partition(":")
    generation = GENERATIONS.get(kind)
    if generation is None:
        raise UserError(
            f"--slice {name}: expected one of {', '.join(GENERATIONS)} before the colon"
        )
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", topology) or (
        topology.count("x") + 1 != generation.axes
    ):
        shape = "x".join(["4"] * generation.axes)
        raise UserError(f"--slice {name}: a topology of {kind} is like {kind}:{shape}")
    found = Slice(generation, topology)
    if found.hosts > 1 and found.chips % _HOST:
        raise UserError(f"--slice {name}: {found.chips} chips do not make whole hosts of {_HOST}")
    return found
