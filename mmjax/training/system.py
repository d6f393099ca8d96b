"""A system: every part that a config names, built and checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.builder import build as build_node
from mmjax.builder import nearest
from mmjax.config import Config, plain
from mmjax.errors import UserError
from mmjax.evaluation.evaluator import Evaluation
from mmjax.objectives.base import Objective
from mmjax.processes.base import Process
from mmjax.samplers.base import Sampler
from mmjax.sharding.mesh import MeshSpec
from mmjax.streams import StreamSpec
from mmjax.training.init_rules import Init
from mmjax.training.optimiser import Optimiser
from mmjax.training.reconstruction import with_reconstruction
from mmjax.tree import check_pattern

_KINDS = {str: "a string", int: "an integer", dict: "a group of fields"}
_PARTS = {"sampler": Sampler, "evaluation": Evaluation, "mesh": MeshSpec, "init": Init}


@dataclasses.dataclass(frozen=True)
class Update:
    """One player's optimiser step.

    Attributes:
      optimiser: how.
      order: place among the updates of a step.
      params: regular expression of the paths (``network/...``) that train.
      every: done at steps divisible by this.
      repeat: optimiser steps per batch, each on an equal part of it.
    """

    optimiser: Optimiser
    order: int = 0
    params: str = ".*"
    every: int = 1
    repeat: int = 1

    def __post_init__(self):
        _at_least(1, self, "every", "repeat")
        check_pattern("params", self.params)


@dataclasses.dataclass(frozen=True)
class Train:
    """How long and how often.

    Attributes:
      steps: length of the run.
      log_every, save_every, preview_every, evaluate_every: in steps; 0 is never.
      keep: checkpoints kept.
      ema: decay of the moving average of parameters, 0 for none.
      accumulate: parts into which a batch is split to save memory.
      max_bad_steps: non-finite steps in a row after which the run goes back to the newest
        checkpoint before them, and on with the data that come after theirs.
      max_rollbacks: how often it does so without getting any further; then it stops.
      wait_limit: seconds that the data of a step, a step, a save or a restore may take; then the
        run is taken to hang and ends.
      phase_limit: the same for compiling, an evaluation, or making previews.
    """

    steps: int
    log_every: int = 20
    save_every: int = 500
    preview_every: int = 0
    evaluate_every: int = 0
    keep: int = 3
    ema: float = 0.0
    accumulate: int = 1
    max_bad_steps: int = 10
    max_rollbacks: int = 3
    wait_limit: float | int = 600
    phase_limit: float | int = 7200

    def __post_init__(self):
        _at_least(1, self, "accumulate", "max_bad_steps", "keep")
        _at_least(0, self, "max_rollbacks")
        _at_least(0, self, "steps", "log_every", "save_every", "preview_every", "evaluate_every")
        if min(self.wait_limit, self.phase_limit) <= 0:
            raise ValueError("wait_limit and phase_limit must be above 0")
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"ema must be in [0, 1), not {self.ema}")


@dataclasses.dataclass(frozen=True)
class Data:
    """What is read.

    Attributes:
      train: the source of training examples.
      evaluation: the source of held-out examples.
      batch_size: examples per step, over all devices.
      workers: reading processes; 0 reads in threads of this process.
      max_bad_share: of the training records that cannot be used, past which the run stops.
    """

    train: Any
    evaluation: Any = None
    batch_size: int = 32
    workers: int = 0
    max_bad_share: float = 0.25

    def __post_init__(self):
        _at_least(1, self, "batch_size")


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """A stream as a config describes it; see :class:`mmjax.streams.StreamSpec`.

    Attributes:
      modality: name of the modality; its batch field has the same name.
      process: how the stream is corrupted.
      codec: name of the codec, or None to take the raw values.
      order: place among the streams.
    """

    modality: str
    process: Process
    codec: str | None = None
    order: int = 0
    drop_rate: float = 0.0
    dropped: str = "mask"
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class System:
    """The parts of a run. ``config`` is what they were built from, as plain values.

    ``mesh_presets`` are meshes for kinds of chips, such as ``v5p``, that ``mmjax plan`` takes.
    """

    name: str
    objective: Any
    updates: Mapping[str, Update]
    data: Data
    train: Train
    networks: Mapping[str, Any]
    modalities: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    codecs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    streams: Mapping[str, StreamSpec] = dataclasses.field(default_factory=dict)
    sampler: Any = None
    evaluation: Evaluation = Evaluation()
    mesh: MeshSpec = MeshSpec()
    mesh_presets: Mapping[str, MeshSpec] = dataclasses.field(default_factory=dict)
    init: Init | None = None
    seed: int = 0
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)


def build(config: Config, *, trusted: bool = True) -> System:
    """The system that a config describes.

    Args:
      config: a ConfigDict or nested mapping.
      trusted: false for a config from JSON, whose classes must then lie under ``mmjax.``.

    Raises:
      UserError: a field is unknown, missing, or of the wrong type; the message names its path.
    """
    config = plain(config)
    _check_sections(config)
    options = {"trusted": trusted}
    modalities = _children(config, "modalities", options)
    codecs = _children(config, "codecs", options)
    described = _children(config, "streams", options, kind=StreamConfig)
    streams = {
        name: make_spec(name, stream, modalities, codecs)
        for name, stream in _ordered(described).items()
    }
    options["injected"] = {"modalities": modalities, "codecs": codecs, "streams": streams}
    updates = _children(config, "updates", options, kind=Update)
    parts = {
        "networks": _children(config, "networks", options),
        "mesh_presets": _children(config, "mesh_presets", options, kind=MeshSpec),
        "objective": build_node(config["objective"], "config.objective", kind=Objective, **options),
        "updates": _ordered(updates),
        "data": build_node(config["data"], "config.data", kind=Data, **options),
        "train": build_node(config["train"], "config.train", kind=Train, **options),
    }
    for name, kind in _PARTS.items():
        if name in config:
            parts[name] = build_node(config[name], f"config.{name}", kind=kind, **options)
    judged = parts.get("evaluation", Evaluation())
    parts["evaluation"] = with_reconstruction(judged, parts["objective"], streams)
    system = System(
        name=config["name"], seed=config.get("seed", 0), config=config,
        modalities=modalities, codecs=codecs, streams=streams, **parts,
    )  # fmt: skip
    _check_batch(system)
    return system


def make_spec(name: str, stream: StreamConfig, modalities, codecs) -> StreamSpec:
    """The static facts of a stream, from its modality and codec."""
    path = f"config.streams.{name}"
    modality = _lookup(modalities, stream.modality, f"{path}.modality")
    codec = None if stream.codec is None else _lookup(codecs, stream.codec, f"{path}.codec")
    raw = modality.spec()
    if codec is not None:
        grid, channels = codec.grid(raw.shape), codec.channels(raw.shape)
        vocabulary = codec.vocabulary
    elif np.issubdtype(raw.dtype, np.integer):
        grid, channels, vocabulary = raw.shape, None, getattr(modality, "vocabulary", None)
    else:
        grid, channels, vocabulary = raw.shape[:-1], raw.shape[-1], None
    in_order = hasattr(codec, "positions")  # its grid has not the modality's axes
    positions = codec.positions(modality) if in_order else modality.positions(tuple(grid))
    return StreamSpec(
        name=name, field=stream.modality, grid=tuple(grid), channels=channels,
        vocabulary=vocabulary, axes=modality.axes, grid_positions=positions,
        modality=modality, codec=codec, process=stream.process, drop_rate=stream.drop_rate,
        dropped=stream.dropped, weight=stream.weight,
    )  # fmt: skip


def _at_least(least: int, node: Any, *fields: str) -> None:
    for field in fields:
        if getattr(node, field) < least:
            raise ValueError(f"{field} must be at least {least}, not {getattr(node, field)}")


def _ordered(described: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(described.items(), key=lambda item: (item[1].order, item[0])))


def _children(config, section, options, kind=Any) -> dict[str, Any]:
    return {
        name: build_node(node, f"config.{section}.{name}", kind=kind, **options)
        for name, node in config.get(section, {}).items()
    }


def _check_sections(config: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(System)} - {"config"}
    for key in config:
        if key not in known:
            raise UserError(f"config.{key}: no such section{nearest(key, known)}")
    for key in ("name", "objective", "networks", "updates", "data", "train"):
        if key not in config:
            raise UserError(f"config.{key}: a config needs this section")
    for key, value in config.items():
        kind = {"name": str, "seed": int}.get(key, dict)
        if type(value) is not kind:
            raise UserError(f"config.{key}: expected {_KINDS[kind]}, got {value!r}")


def _lookup(named: Mapping[str, Any], key: str, path: str):
    if key not in named:
        raise UserError(f"{path}: nothing named {key!r}{nearest(key, named)}")
    return named[key]


def _check_batch(system: System) -> None:
    size, parts = system.data.batch_size, system.train.accumulate
    if parts > 1 and system.objective.whole_batch:
        raise UserError("config.train.accumulate: this objective couples the whole batch; use 1")
    for name, update in system.updates.items():
        if size % (parts * update.repeat):
            raise UserError(
                f"config.data.batch_size: {size} does not divide into {parts} accumulated parts "
                f"times {update.repeat} repeats of update {name!r}"
            )
