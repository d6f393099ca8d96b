"""One way to run a config: its fields, its mesh, the chips."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax

from mmjax import config as configs
from mmjax.builder import nearest
from mmjax.errors import UserError
from mmjax.planning import abstract, compile, flops, topology
from mmjax.planning.compile import Report
from mmjax.planning.roofline import rates
from mmjax.sharding.mesh import MeshSpec
from mmjax.training.placement import Placement
from mmjax.training.restore import without_data
from mmjax.training.stages import expand
from mmjax.training.system import System, build


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a user chose, or what is tried instead.

    Attributes:
      config: path and variant.
      topology: such as ``v5p:4x4x8``.
      mesh: devices along axes, in place of the config's or of its preset for the chip.
      overrides: of fields, such as ``train.accumulate=2``.
      stage: of a config with stages.
    """

    config: str
    topology: str
    mesh: Mapping[str, int] = dataclasses.field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    stage: str = ""

    @property
    def arguments(self) -> str:
        """The choice as arguments of ``mmjax plan``."""
        words = [f"--config {self.config}", f"--topology {self.topology}"]
        words += [f"--mesh {name}={size}" for name, size in self.mesh.items()]
        return " ".join(words + [f"--config.{override}" for override in self.overrides])


def stages(choice: Choice) -> list[str]:
    """The names of a config's stages; one empty name where it has none."""
    return [stage.name for stage in expand(configs.load(choice.config, choice.overrides))]


def placed(choice: Choice) -> tuple[Placement, topology.Topology]:
    """The system of a choice on its mesh; no array is made.

    Raises:
      UserError: the config, the topology or the mesh is none, or they do not go together.
    """
    config = configs.load(choice.config, choice.overrides)
    stage = next(stage for stage in expand(config) if stage.name == choice.stage)
    system = build(without_data(stage.config))
    system = dataclasses.replace(system, mesh=_mesh(choice, system, "mesh" in stage.config))
    where = topology.parse(choice.topology, system.mesh.slices)
    return abstract.place(system, topology.devices(where)), where


def _mesh(choice: Choice, system: System, given: bool) -> MeshSpec:
    """The mesh of the config, or its preset for the chip, with what the user set."""
    known = [field.name for field in dataclasses.fields(MeshSpec)]
    for name in choice.mesh:
        if name not in known:
            raise UserError(f"--mesh {name}: no such axis{nearest(name, known)}")
    chip = choice.topology.partition(":")[0]
    spec = system.mesh if given else system.mesh_presets.get(chip, system.mesh)
    try:
        return dataclasses.replace(spec, **choice.mesh)
    except ValueError as error:
        raise UserError(f"--mesh: {error}") from error


def trained(choice: Choice) -> tuple[Report, Placement, topology.Topology]:
    """What the training step needs."""
    placement, where = placed(choice)
    return compile.report(abstract.training(placement), placement, where), placement, where


def facts(
    choice: Choice, report: Report, placement: Placement, where: topology.Topology
) -> dict[str, Any]:
    """A choice and its training step as plain values."""
    system = placement.system
    described = {
        "name": system.name,
        "arguments": choice.arguments,
        "topology": where.name,
        "chips": where.chips,
        "mesh": {name: size for name, size in placement.mesh.shape.items() if size > 1},
        "batch": system.data.batch_size,
        "steps": system.train.steps,
        "parameters": sum(math.prod(x.shape) for x in jax.tree.leaves(placement.abstract.params)),
        "train": plain(report),
    }
    if report.bound is not None:
        model = abstract.model_step(system)
        operations = flops.count(model.function, *model.arguments)
        described["model_flops"] = operations
        described["tokens"] = tokens(system)
        described["rates"] = rates(
            where, report.bound, operations, system.data.batch_size, tokens(system),
            system.train.steps,
        )  # fmt: skip
    return described


def tokens(system: System) -> int:
    """Tokens of an example: the grid points of its streams, patches of them where there are any."""
    patches: dict[str, tuple[int, ...]] = {}
    for network in system.networks.values():
        patch = getattr(network, "patch", None)
        if isinstance(patch, Mapping):  # a patch of each stream; a codec's is no stream's
            patches |= patch
    return sum(
        spec.tokens // math.prod(patches.get(name, (1,))) for name, spec in system.streams.items()
    )


def plain(report: Report) -> dict[str, Any]:
    """A report as plain values, for JSON."""
    values = dataclasses.asdict(report)
    values["memory"]["needed"] = report.memory.needed
    if report.bound is not None:
        values["bound"] |= {"seconds": report.bound.seconds, "binds": report.bound.binds}
    return values
