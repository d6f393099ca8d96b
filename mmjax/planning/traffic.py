"""What a compiled program reads and writes in HBM, and what of it the backward pass waits for."""

import math
import re

from mmjax.planning.hlo import Buffer, Computation, Instruction, Program

# Instructions that move nothing themselves.
_FREE = (
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional",
    "call", "after-all", "partition-id", "replica-id", "opt-barrier",
)  # fmt: skip
_WINDOWS = ("dynamic-slice", "slice", "gather")


def bytes_moved(program: Program) -> float:
    """Bytes that one device reads from and writes to HBM in a run of the program.

    Every instruction outside fusions reads its operands and writes its result, but for slices, of
    which the part that is cut out or written counts, and for what lies in a core's own memory.
    """
    return math.fsum(
        times * _moved(program, computation, instruction)
        for computation, instruction, times in program.walk(fused=False)
        if instruction.opcode not in _FREE and not instruction.opcode.endswith("-done")
    )


def _moved(program: Program, computation: Computation, instruction: Instruction) -> float:
    inside = None
    if instruction.opcode == "fusion":
        inside = program.computations[instruction.called["calls"]]
    read = sum(
        _read(instruction, inside, place, _result(computation.get(name)))
        for place, name in enumerate(instruction.operands)
    )
    return read + _written(computation, instruction, inside)


def _result(instruction: Instruction | None) -> tuple[Buffer, ...]:
    return () if instruction is None else instruction.buffers


def _far(buffers: tuple[Buffer, ...]) -> float:
    return math.fsum(buffer.bytes for buffer in buffers if not buffer.near)


def _read(
    instruction: Instruction, inside: Computation | None, place: int, given: tuple[Buffer, ...]
) -> float:
    """Bytes read of the operand at ``place``."""
    whole = _far(given)
    if whole == 0:
        return 0.0
    if inside is None:
        if instruction.opcode in _WINDOWS and place == 0:
            return min(whole, math.fsum(b.bytes for b in instruction.buffers))
        return 0.0 if instruction.opcode == "dynamic-update-slice" and place == 0 else whole
    names, total = set(), 0.0
    for user in inside.values():
        if user.opcode == "parameter" and user.attributes.startswith(f"{place})"):
            names.add(user.name)
        if not names & set(user.operands):
            continue
        if user.opcode == "bitcast":
            names.add(user.name)
        elif user.opcode in _WINDOWS:
            total += sum(b.bytes for b in user.buffers)
        elif user.opcode != "dynamic-update-slice" or user.operands[0] not in names:
            total += whole
    return min(whole, total)


def _written(
    computation: Computation, instruction: Instruction, inside: Computation | None
) -> float:
    """Bytes written of the result; of an updated array only the update."""
    if instruction.opcode.endswith("-start"):  # the tuple repeats the operands
        return _far(instruction.buffers[:1])
    if instruction.opcode == "dynamic-update-slice":
        return _far(instruction.buffers) and _updated(computation, instruction)
    if inside is None:
        return _far(instruction.buffers)
    root = next(i for i in inside.values() if i.root)
    parts = [inside[n] for n in root.operands] if root.opcode == "tuple" else [root]
    total = 0.0
    for part, buffer in zip(parts, instruction.buffers, strict=False):
        while part.opcode == "bitcast":
            part = inside[part.operands[0]]
        if not buffer.near:
            update = part.opcode == "dynamic-update-slice"
            total += _updated(inside, part) if update else buffer.bytes
    return total


def _updated(computation: Computation, update: Instruction) -> float:
    return math.fsum(b.bytes for b in computation[update.operands[1]].buffers)


def saved_for_backward(program: Program) -> float:
    """Bytes that the loops of the forward pass pile up, an entry for each turn.

    These are the activations that the backward pass reads; what a loop only passes through, such as
    parameters, is not among them.
    """
    total = 0.0
    for _, loop, times in program.walk(fused=False):
        if loop.opcode != "while" or "transpose(" in (loop.attribute("metadata") or ""):
            continue
        trips = program.trips(loop)
        kept = _passed_through(program.computations[loop.called["body"]])
        total += times * sum(
            buffer.bytes
            for place, buffer in enumerate(loop.buffers)
            if trips > 1 and buffer.shape[:1] == (trips,) and place not in kept and not buffer.near
        )
    return total


def _passed_through(body: Computation) -> set[int]:
    """The places of a loop's tuple that leave a turn as they came in."""
    root = next(i for i in body.values() if i.root)
    kept = set()
    for place, name in enumerate(root.operands):
        source = body[name]
        index = re.search(r"index=(\d+)", source.attributes)
        if source.opcode == "get-tuple-element" and index and int(index[1]) == place:
            kept.add(place)
    return kept
