"""What a compiled program sends between devices: by kind, over the links of a slice or between.

The bytes that a device sends are those of ring algorithms (Thakur et al. 2005; Patarasu and Yuan
2009): of a buffer of S bytes over g devices, S (g - 1) / g to scatter, to gather or to exchange it,
twice that to reduce it everywhere. Where a group spans several slices, each device first works with
those of its own slice, then with its peers in the others on its share.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.planning.hlo import Computation, Instruction, Program
from mmjax.planning.topology import Topology

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_MESH = re.compile(r"mesh\[(.*?)\](?:, device_ids=\((.*?)\))? \{(.*?)\}")
_IOTA = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One exchange between devices.

    Attributes:
      kind: one of ``KINDS``.
      times: how often a step runs it.
      size: bytes of the whole buffer, gathered or not yet scattered, on one device.
      group: devices that take part together.
      slices: slices that they lie in.
      axes: torus axes of a slice that they spread over.
      where: the operation of the model that it serves.
    """

    kind: str
    times: float
    size: float
    group: int
    slices: int
    axes: tuple[int, ...]
    where: str

    @property
    def fast(self) -> float:
        """Bytes that a device sends inside its slice each time."""
        return self._sent(self.size, self.group // self.slices)

    @property
    def slow(self) -> float:
        """Bytes that a device sends to other slices each time."""
        return self._sent(self.size / (self.group // self.slices), self.slices)

    def _sent(self, size: float, parts: int) -> float:
        if parts == 1:
            return 0.0
        if self.kind == "collective-permute":
            return size
        return size * (parts - 1) / parts * (2 if self.kind == "all-reduce" else 1)


def find(program: Program, devices: Sequence[Any]) -> list[Collective]:
    """The collectives of a program that runs on ``devices``, in the order of its mesh."""
    found = []
    for computation, instruction, times in program.walk():
        kind = instruction.opcode.removesuffix("-start")
        if kind not in KINDS or times == 0:
            continue
        group = groups(instruction, len(devices))[0]
        if len(group) == 1:
            continue
        if kind == "all-reduce" and _scattered(computation, instruction):
            kind = "reduce-scatter"
        size = math.fsum(
            b.bytes for name in instruction.operands for b in computation[name].buffers
        )
        found.append(
            Collective(
                kind, times, size * (len(group) if kind == "all-gather" else 1), len(group),
                *_spread([devices[index] for index in group]), _origin(instruction),
            )
        )  # fmt: skip
    return found


def groups(instruction: Instruction, devices: int) -> list[list[int]]:
    """The devices that exchange with each other, as places in the mesh.

    Raises:
      ValueError: the groups are written in a way that is not known here.
    """
    if pairs := re.search(r"source_target_pairs=\{(\{.*?\})\}", instruction.attributes):
        linked = _lists(pairs[1])
        return [pair for pair in linked if pair[0] != pair[1]] or linked
    text = re.search(r"replica_groups=(.*)", instruction.attributes)[1]
    if text.startswith("{}"):
        return [list(range(devices))]
    if text.startswith("{{"):
        return _lists(text[1 : text.index("}}") + 1])
    if match := _IOTA.match(text):
        return _iota(match).tolist()
    if match := _MESH.match(text):
        return _along(match, devices)
    raise ValueError(f"replica groups {text[:80]!r} are of an unknown form")


def _along(match: re.Match, devices: int) -> list[list[int]]:
    """Groups along named axes of a mesh of devices."""
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", match[1])}
    named = re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", match[3])
    if any(part for _, *part in named if any(part)):
        raise ValueError(f"replica groups over a part of an axis: {match[0]!r}")
    order = np.arange(devices)
    if match[2]:
        iota = re.match(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", match[2])
        order = order.reshape(_numbers(iota[1]))
        order = order.transpose(_numbers(iota[2])) if iota[2] else order
    chosen = [list(sizes).index(name) for name, *_ in named]
    places = np.moveaxis(order.reshape(list(sizes.values())), chosen, range(-len(chosen), 0))
    return places.reshape(-1, math.prod(sizes[name] for name, *_ in named)).tolist()


def _iota(match: re.Match) -> np.ndarray:
    order = np.arange(math.prod(_numbers(match[2]))).reshape(_numbers(match[2]))
    order = order.transpose(_numbers(match[3])) if match[3] else order
    return order.reshape(_numbers(match[1]))


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",")]


def _lists(text: str) -> list[list[int]]:
    return [_numbers(inside) for inside in re.findall(r"\{([\d,]+)\}", text)]


def _scattered(computation: Computation, instruction: Instruction) -> bool:
    """Whether of a reduced buffer each device keeps its share alone, fused by the TPU compiler."""
    users = [i for i in computation.values() if instruction.name in i.operands]
    return bool(users) and all(user.opcode == "dynamic-slice" for user in users)


def _spread(group: Sequence[Any]) -> tuple[int, tuple[int, ...]]:
    """How many slices a group lies in, and the torus axes that it spreads over inside one."""
    by_slice: dict[int, list] = {}
    for device in group:
        by_slice.setdefault(getattr(device, "slice_index", 0) or 0, []).append(device)
    one = [getattr(d, "coords", (d.id,)) for d in next(iter(by_slice.values()))]
    return len(by_slice), tuple(
        axis for axis, places in enumerate(zip(*one, strict=True)) if len(set(places)) > 1
    )


def _origin(instruction: Instruction) -> str:
    match = re.search(r'op_name="(.*?)"', instruction.attributes)
    return match[1] if match else ""


def seconds(collective: Collective, topology: Topology) -> float:
    """How long one takes at the full rate of the links that it can use.

    Along an axis whose ends are not joined a ring is folded, at half the rate. Two devices of one
    chip are taken to exchange at the rate of one axis.
    """
    chip = topology.chip
    rate = sum(
        chip.link_rate * (1.0 if topology.wrapped(axis) else 0.5) for axis in collective.axes
    )
    return collective.fast / (rate or chip.link_rate) + collective.slow / chip.network_rate


def summary(collectives: Sequence[Collective]) -> dict[str, dict[str, float]]:
    """By kind: how many run in a step, and the bytes that a device sends fast and slow."""
    table: dict[str, dict[str, float]] = {}
    for one in collectives:
        row = table.setdefault(one.kind, {"count": 0.0, "fast_bytes": 0.0, "slow_bytes": 0.0})
        row["count"] += one.times
        row["fast_bytes"] += one.times * one.fast
        row["slow_bytes"] += one.times * one.slow
    return table
