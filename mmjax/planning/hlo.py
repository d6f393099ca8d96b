"""The text of a compiled program as computations of instructions, and how often each runs."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping

WIDTHS = {
    "pred": 1, "s2": 0.25, "u2": 0.25, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2,
    "s32": 4, "u32": 4, "s64": 8, "u64": 8, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8,
    "c128": 16, "token": 0,
}  # fmt: skip
_ARRAY = re.compile(r"(\w+)\[([\d,<=]*)\](\{[^{}]*\})?")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_NAME = re.compile(r"%?([A-Za-z_][\w.\-]*)\s*$")
_CALLED = re.compile(
    r"(calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
_LITERAL = re.compile(r"constant\(\{.*?\}\)", re.DOTALL)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclasses.dataclass(frozen=True)
class Buffer:
    """An array of an instruction's result.

    Attributes:
      kind: type of the elements, such as ``bf16``.
      shape: of the array.
      near: whether it lies in a core's own memory and not in HBM.
    """

    kind: str
    shape: tuple[int, ...]
    near: bool = False

    @property
    def bytes(self) -> float:
        """Without the padding of tiles."""
        return float(math.prod(self.shape) * WIDTHS.get(self.kind, 1))


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
      name, opcode: as printed.
      buffers: the arrays of its result, several for a tuple.
      operands: names of the instructions that it reads.
      attributes: the rest of the line.
      root: whether its result is the computation's.
    """

    name: str
    opcode: str
    buffers: tuple[Buffer, ...]
    operands: tuple[str, ...]
    attributes: str
    root: bool

    def attribute(self, name: str) -> str | None:
        """The text of ``name=...`` up to the next attribute."""
        match = re.search(rf"\b{name}=(.*?)(?:, \w+=|$)", self.attributes)
        return match and match[1]

    @property
    def called(self) -> dict[str, str]:
        """The computations that it runs, by role."""
        return {role: name for role, name in _CALLED.findall(self.attributes)}

    @property
    def branches(self) -> list[str]:
        """The computations of which a conditional runs one."""
        if listed := _BRANCHES.search(self.attributes):
            return [name.strip().lstrip("%") for name in listed[1].split(",")]
        return [v for k, v in self.called.items() if k.endswith("_computation")]


Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Program:
    """A parsed program.

    Attributes:
      computations: by name, instructions in order.
      entry: the name of the one that runs first.
    """

    computations: Mapping[str, Computation]
    entry: str

    def walk(
        self, name: str | None = None, times: float = 1.0, *, fused: bool = True
    ) -> Iterator[tuple[Computation, Instruction, float]]:
        """Every instruction that runs, with its computation and how often.

        Of a conditional's branches the last counts: of a ``lax.cond`` the one that is run when the
        condition holds. ``fused``: also what runs inside fusions.
        """
        computation = self.computations[name or self.entry]
        for instruction in computation.values():
            yield computation, instruction, times
            if instruction.opcode == "while":
                called = instruction.called
                again = times * float(self.trips(instruction))
                yield from self.walk(called["body"], again, fused=fused)
            elif instruction.opcode == "conditional":
                yield from self.walk(instruction.branches[-1], times, fused=fused)
            elif (fused or instruction.opcode != "fusion") and "calls" in instruction.called:
                yield from self.walk(instruction.called["calls"], times, fused=fused)
            elif instruction.opcode == "call":
                yield from self.walk(instruction.called["to_apply"], times, fused=fused)

    def trips(self, loop: Instruction) -> int:
        """How often a counted loop runs: the largest integer that its condition compares with.

        1 where the condition holds none.
        """
        known = re.search(r'known_trip_count"?:\{"n":"(\d+)"', loop.attributes)
        if known:
            return int(known[1])
        found = [1]
        for _, instruction, _ in self.walk(loop.called["condition"]):
            if instruction.opcode == "constant" and instruction.buffers[0].kind in ("s32", "u32"):
                value = re.match(r"(\d+)\)", instruction.attributes)
                found.append(int(value[1]) if value else 1)
        return max(found)


def parse(text: str) -> Program:
    """The program of ``compiled.as_text()`` or of ``lowered.as_text("hlo")``."""
    computations, current, entry = {}, None, ""
    # Arrays of more than two axes are printed over several lines.
    for line in _LITERAL.sub("constant({...})", text).splitlines():
        if line.startswith("}") and not line.startswith("}}"):  # that ends a kernel's attributes
            current = None
        elif line and not line[0].isspace() and line.endswith("{") and "HloModule" not in line:
            name = line.removeprefix("ENTRY ").split(" ")[0].lstrip("%")
            current = computations.setdefault(name, {})
            entry = name if line.startswith("ENTRY ") else entry
        elif current is not None and (match := _LINE.match(line)):
            instruction = _instruction(match[2], match[3], root=bool(match[1]))
            current[instruction.name] = instruction
    return Program(computations, entry)


def _instruction(name: str, rest: str, *, root: bool) -> Instruction:
    shape, rest = _split_shape(re.sub(r"/\*.*?\*/", "", rest))
    opcode = _OPCODE.match(rest)
    inside, after = _until_closed(rest[opcode.end() :])
    operands = ()
    if opcode[1] not in ("constant", "parameter", "iota"):
        operands = tuple(m[1] for part in _commas(inside) if (m := _NAME.search(part)))
    # a constant's value or a parameter's number is no operand; keep it in sight
    attributes = after if operands else f"{inside}){after}"
    return Instruction(name, opcode[1], tuple(_buffers(shape)), operands, attributes, root)


def _buffers(shape: str) -> Iterator[Buffer]:
    for kind, sizes, layout in _ARRAY.findall(shape):
        numbers = tuple(int(n.lstrip("<=")) for n in sizes.split(",") if n)
        yield Buffer(kind, numbers, near=re.search(r"S\([1-9]", layout) is not None)


def _split_shape(text: str) -> tuple[str, str]:
    if not text.startswith("("):
        shape, _, rest = text.partition(" ")
        return shape, rest
    inside, rest = _until_closed(text[1:])
    return inside, rest


def _until_closed(text: str) -> tuple[str, str]:
    """What stands before the parenthesis that closes one opened earlier, and after it."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:place], text[place + 1 :]
    return text, ""


def _commas(text: str) -> list[str]:
    """The parts of a list, whose commas inside brackets separate nothing."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]] if text[start:].strip() else parts
