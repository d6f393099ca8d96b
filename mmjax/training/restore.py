"""A system with its state: at step 0, or from a run's newest checkpoint."""

import dataclasses
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.config import Config, plain
from mmjax.errors import UserError
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.stages import expand
from mmjax.training.state import State, compiled_init, init
from mmjax.training.system import System, build
from mmjax.training.workdir import Workdir
from mmjax.typing import Batch


def declared_batch(system: System) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of a training batch, from what the modalities and codecs declare.

    A field that one device codec encodes comes with its latents too, as from a cache, for there are
    codecs that declare latents and make none.
    """
    size = system.data.batch_size
    specs = {name: modality.spec() for name, modality in system.modalities.items()}
    batch = {k: jax.ShapeDtypeStruct((size, *s.shape), s.dtype) for k, s in specs.items()}
    fields = [stream.field for stream in system.streams.values()]
    for stream in system.streams.values():
        if stream.codec is None:
            continue
        if stream.codec.host:
            shape = batch[stream.field].shape
            batch[f"{stream.field}_mask"] = jax.ShapeDtypeStruct(shape, bool)
        elif fields.count(stream.field) == 1:
            dtype = jnp.int32 if stream.discrete else jnp.float32
            latents = jax.ShapeDtypeStruct(stream.shape(size), dtype)
            batch[f"{stream.field}_latents"] = latents
    return batch


def build_saved(config: Config, *, data: bool) -> System:
    """The system of a config from JSON, with its data or, where they may be elsewhere, without."""
    system = build(config if data else without_data(config), trusted=False)
    return dataclasses.replace(system, config=plain(config))


def without_data(config: Config) -> dict[str, Any]:
    """The config without its sources."""
    values = plain(config)
    if "data" in values:
        values["data"] = {**values["data"], "train": None, "evaluation": None}
    if "sets" in values.get("evaluation", {}):
        values["evaluation"] = {**values["evaluation"], "sets": {}}
    return values


def zeros(batch: Batch) -> dict[str, jax.Array]:
    """A batch of zeros with these shapes."""
    return {name: jnp.zeros(spec.shape, spec.dtype) for name, spec in batch.items()}


def untrained(system: System) -> State:
    """The state at step 0."""
    return compiled_init(system)(zeros(declared_batch(system)))


def abstract_state(system: System) -> State:
    """Shapes and dtypes of the system's state; nothing is computed."""
    return jax.eval_shape(lambda: init(system, zeros(declared_batch(system))))


def restore(workdir: pathlib.Path | str, *, data: bool = True) -> tuple[System, State]:
    """The system and newest readable state of a run.

    Args:
      workdir: the folder of the run.
      data: whether to open the data that it was trained and is evaluated on.

    Raises:
      UserError: there is no run, no checkpoint, or none that can be read.
    """
    folder = newest_stage(Workdir(workdir))
    system = build_saved(folder.config(), data=data)
    if not folder.checkpoints.is_dir():
        raise UserError(f"{folder.path}: no checkpoint yet")
    checkpoints = Checkpoints(folder.checkpoints, system.train.keep)
    try:
        state = checkpoints.restore_newest(
            abstract_state(system), lambda line: print(f"warning: {line}", file=sys.stderr)
        )
    finally:
        checkpoints.close()
    if state is None:
        raise UserError(f"{folder.path}: no checkpoint yet")
    return system, state


def newest_stage(folder: Workdir) -> Workdir:
    """The last stage that has begun, or the run itself where it has no stages."""
    begun = [folder.stage(stage.name) for stage in expand(folder.config())]
    begun = [stage for stage in begun if stage.checkpoints.is_dir()]
    return begun[-1] if begun else folder
