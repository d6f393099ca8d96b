"""How fast a step can be at best: the time of its arithmetic, of its memory, of its network."""

import dataclasses

from mmjax.planning.topology import Topology


@dataclasses.dataclass(frozen=True)
class Roofline:
    """Lower bounds of a step's time in seconds, each as if the others cost nothing.

    Attributes:
      compute: operations over the chips' peak in bf16.
      memory: bytes over the rate of HBM.
      network: bytes sent over the rate of the links.
    """

    compute: float
    memory: float
    network: float

    @property
    def seconds(self) -> float:
        """Of a step in which the three overlap perfectly."""
        return max(self.compute, self.memory, self.network)

    @property
    def binds(self) -> str:
        """Which of the three that is."""
        times = dataclasses.asdict(self)
        return max(times, key=times.get)


def roofline(topology: Topology, flops: float, moved: float, network: float) -> Roofline:
    """The bounds of a step.

    Args:
      topology: of the chips.
      flops: of the whole step, over all devices, recomputation included.
      moved: bytes that a device reads from and writes to its memory.
      network: seconds that a device's collectives take.
    """
    chip = topology.chip
    return Roofline(flops / topology.devices / chip.peak, moved / chip.memory_rate, network)


def rates(
    topology: Topology, step: Roofline, model_flops: float, batch: int, tokens: int, steps: int
) -> dict[str, float]:
    """What the bound means for a run.

    Args:
      topology: of the chips.
      step: the bound.
      model_flops: of the whole step without recomputation.
      batch: examples per step.
      tokens: per example.
      steps: of the run.

    Returns:
      ``mfu``: share of the peak that goes into ``model_flops``; examples and tokens a second and
      chip; ``chip_hours`` of the run.
    """
    per_chip = 1 / step.seconds / topology.chips
    return {
        "mfu": model_flops / (step.seconds * topology.devices * topology.chip.peak),
        "examples_per_second_per_chip": batch * per_chip,
        "tokens_per_second_per_chip": batch * tokens * per_chip,
        "chip_hours": steps * step.seconds * topology.chips / 3600,
    }
