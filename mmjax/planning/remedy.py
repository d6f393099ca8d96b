"""What would make a training step fit that does not."""

import dataclasses
from collections.abc import Iterator

from mmjax.errors import UserError
from mmjax.planning.choice import Choice, placed, trained
from mmjax.planning.compile import Report, argument_bytes
from mmjax.planning.topology import parse
from mmjax.training.placement import Placement

TRIES = 4  # compilations, of a minute or more each for a large model


def remedies(choice: Choice, placement: Placement) -> Iterator[tuple[str, Choice]]:
    """Changes that save memory, each on top of those before, the cheapest first."""
    system, mesh = placement.system, placement.mesh.shape
    if mesh["data"] > 1:
        choice = _with(choice, mesh={**choice.mesh, "data": 1, "fsdp": -1})
        yield "cut the parameters over all devices", choice
    for name, network in system.networks.items():
        if getattr(network, "remat", "full") != "full":
            choice = _with(choice, overrides=(*choice.overrides, f"networks.{name}.remat=full"))
            yield "compute activations again in the backward pass", choice
    groups = mesh["slices"] * mesh["data"] * mesh["fsdp"]
    rows = system.data.batch_size // system.train.accumulate // groups
    if rows > 1 and not system.objective.whole_batch:
        parts = system.train.accumulate * rows
        choice = _with(choice, overrides=(*choice.overrides, f"train.accumulate={parts}"))
        yield "add up the gradients of smaller parts of the batch", choice
    elif rows > 1:
        choice = _with(choice, overrides=(*choice.overrides, f"data.batch_size={groups}"))
        yield "take a smaller batch", choice
    where = parse(choice.topology)
    while where.chips < 4 * parse(choice.topology).chips:
        axis = min(range(len(where.shape)), key=lambda i: where.shape[i])
        shape = tuple(n * 2 if i == axis else n for i, n in enumerate(where.shape))
        where = dataclasses.replace(where, shape=shape)
        larger = {**choice.mesh, "data": 1, "fsdp": -1}
        if system.data.batch_size % (where.devices // (mesh["context"] * mesh["tensor"])):
            larger |= {"context": mesh["context"] * where.chips // parse(choice.topology).chips}
        yield "take a larger slice", _with(choice, topology=where.name, mesh=larger)


def find(choice: Choice, placement: Placement, limit: float) -> dict[str, object] | None:
    """The first remedy with which the step compiles, and what it needs then; None: none was found.

    Remedies whose arguments alone exceed the memory are not compiled.
    """
    said: list[str] = []
    tried = 0
    for words, other in remedies(choice, placement):
        said = said if words in said else [*said, words]
        if tried == TRIES:
            break
        try:
            if _state_bytes(other) > limit:
                continue
            tried += 1
            report: Report = trained(other)[0]
        except UserError:
            continue  # these devices do not divide this batch, or there is no such slice
        if report.fits:
            needed = report.memory.needed
            return {"how": said, "arguments": other.arguments, "needed": needed}
    return None


def _state_bytes(choice: Choice) -> float:
    return sum(argument_bytes((placed(choice)[0].abstract,)).values())


def _with(choice: Choice, **changes) -> Choice:
    return dataclasses.replace(choice, **changes)
