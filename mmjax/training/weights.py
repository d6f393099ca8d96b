"""A weights folder: what sampling needs of a run, small and safe to pass on.

``weights.safetensors`` holds the averaged parameters and other collections by path, ``config.json``
the config, ``metrics.json`` what was measured, ``command.txt`` the command that made them.
"""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from mmjax import config as configs
from mmjax import tree
from mmjax.errors import UserError
from mmjax.training.restore import abstract_state, build_saved, declared_batch, zeros
from mmjax.training.state import State, averaged
from mmjax.training.system import System

TENSORS, CONFIG = "weights.safetensors", "config.json"
METRICS, COMMAND = "metrics.json", "command.txt"
_HALF_ERROR = 2.0**-10  # of a tensor's largest value, which is all that float16 may lose


def save(
    folder: pathlib.Path | str,
    system: System,
    state: State,
    *,
    half: bool = False,
    metrics: Mapping[str, Any] | None = None,
    command: str = "",
) -> None:
    """Writes a weights folder whole, in place of an older one.

    Args:
      folder: where.
      system: what the weights belong to.
      state: its moving averages are saved in place of the parameters.
      half: store float16, which halves the size.
      metrics: what was measured of these weights.
      command: what made them.

    Raises:
      UserError: the folder holds something else or cannot be written, or float16 cannot hold a
        tensor.
    """
    kept = {"params": averaged(state.params, state.ema), "mutable": state.mutable}
    tensors = {path: np.asarray(leaf) for path, leaf in tree.flatten(kept).items()}
    if half:
        tensors = {path: _halved(path, tensor) for path, tensor in tensors.items()}
    facts = {"format": "mmjax", "step": str(int(state.step)), "ema": str(system.train.ema)}
    with _replacing(pathlib.Path(folder)) as new:
        (new / CONFIG).write_text(configs.dumps(system.config) + "\n", encoding="utf-8")
        (new / METRICS).write_text(json.dumps(metrics or {}, indent=1) + "\n", encoding="utf-8")
        (new / COMMAND).write_text(f"{command}\n", encoding="utf-8")
        (new / TENSORS).write_bytes(safetensors.numpy.save(tensors, facts))


def load(folder: pathlib.Path | str, *, data: bool = True) -> tuple[System, State]:
    """The system of a weights folder and a state to sample from.

    Args:
      folder: what :func:`save` has written.
      data: whether to open the data that it was trained and is evaluated on.

    Raises:
      UserError: a file is missing or damaged, or the tensors are not those of the config.
    """
    folder = pathlib.Path(folder)
    for name in (CONFIG, TENSORS):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: is no complete weights folder (there is no {name})")
    config = configs.loads((folder / CONFIG).read_text(encoding="utf-8"), str(folder / CONFIG))
    system = build_saved(config, data=data)
    tensors, facts = _read(folder / TENSORS)
    template = abstract_state(system)
    expected = tree.flatten({"params": template.params, "mutable": template.mutable})
    _check(folder / TENSORS, tensors, expected)
    step = int(facts["step"]) if facts.get("step", "").isdecimal() else 0  # of others' making
    leaves = {path: jnp.asarray(tensors[path], leaf.dtype) for path, leaf in expected.items()}
    found = tree.unflatten(leaves)
    return system, State(
        step=jnp.asarray(step, jnp.int32),
        params=found["params"],
        opt={},
        ema={},
        mutable=found.get("mutable", {}),
        objective=system.objective.init_state(zeros(declared_batch(system))),
        data_offset=jnp.zeros((), jnp.int32),
        bad_steps=jnp.zeros((2,), jnp.int32),
    )


def _halved(path: str, tensor: np.ndarray) -> np.ndarray:
    """A float32 tensor as float16 where that loses next to nothing; other types as they are."""
    if tensor.dtype != np.float32 or not tensor.size:
        return tensor
    with np.errstate(over="ignore"):
        half = tensor.astype(np.float16)
    error = np.abs(half.astype(np.float32) - tensor).max()
    if not error <= _HALF_ERROR * np.abs(tensor).max():
        raise UserError(f"{path}: float16 cannot hold its values; save float32 instead")
    return half


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: is damaged or truncated ({error})") from error


def _check(path: pathlib.Path, tensors: Mapping, expected: Mapping) -> None:
    """Every expected tensor is there in its shape, finite, and nothing else is."""
    for problem, names in (
        ("lacks", sorted(expected.keys() - tensors.keys())),
        ("holds unexpected", sorted(tensors.keys() - expected.keys())),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{path}: {problem} tensor {names[0]}{more}; is config.json its own?")
    for name, leaf in expected.items():
        if tensors[name].shape != leaf.shape:
            found, wanted = list(tensors[name].shape), list(leaf.shape)
            raise UserError(f"{path}: tensor {name} is {found}, but its config says {wanted}")
        if not np.isfinite(tensors[name]).all():
            raise UserError(f"{path}: tensor {name} holds values that are not finite")


@contextlib.contextmanager
def _replacing(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder beside ``folder`` that takes its place when the block succeeds."""
    if folder.exists() and not (folder / TENSORS).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise UserError(f"{folder}: holds something else than weights; choose another folder")
    new = old = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield new
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o777 & ~umask)  # mkdtemp's folders are private; the result is an ordinary one
        if folder.exists():
            old = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            os.replace(folder, old / folder.name)
        os.replace(new, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        for leftover in (new, old):
            if leftover is not None:
                shutil.rmtree(leftover, ignore_errors=True)
