"""Other weights as arrays by path: those of a run, of a weights folder, of an imported module."""

import pathlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax
import numpy as np
import orbax.checkpoint as ocp
import safetensors

from mmjax import config as configs
from mmjax import tree
from mmjax.builder import TARGET
from mmjax.errors import UserError
from mmjax.sharding.multihost import say_once
from mmjax.training import manifest
from mmjax.training.restore import newest_stage
from mmjax.training.weights import CONFIG, TENSORS
from mmjax.training.workdir import Workdir

Specs = Mapping[str, jax.ShapeDtypeStruct]
_KINDS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint", "BOOL": "bool"}


@runtime_checkable
class Source(Protocol):
    """Arrays on disk.

    Attributes:
      name: what they are, for messages.
      specs: shape and dtype of each, by path (``network/...``).
    """

    name: str
    specs: Specs

    def read(self, wanted: Specs) -> dict[str, jax.Array]:
        """Some of them, placed as ``wanted`` says; each device reads its own part of a run's."""


def open_source(folder: pathlib.Path | str) -> Source:
    """The weights in a folder.

    Raises:
      UserError: it holds none, or none that can be used.
    """
    folder = pathlib.Path(folder)
    if (folder / TENSORS).is_file():
        return _Tensors(folder)
    if (folder / CONFIG).is_file():
        return _Checkpoint(newest_stage(Workdir(folder)))
    raise UserError(
        f"config.init.folder: {folder} is neither a run nor a folder of weights (there is neither "
        f"{CONFIG} nor {TENSORS})"
    )


class _Checkpoint:
    """The newest good checkpoint of a run; moving averages stand in for their parameters."""

    def __init__(self, workdir: Workdir):
        self._folder = _newest(workdir.checkpoints)
        self.name = f"{workdir.path}, step {self._folder.name},"
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
            saved = orbax.metadata(self._folder).item_metadata.tree
        self._places = {
            path: ("params", *path.split(tree.SEPARATOR)) for path in tree.flatten(saved["params"])
        }
        for path in tree.flatten(saved["mutable"]):
            self._places[path] = ("mutable", *path.split(tree.SEPARATOR))
        for path in saved["ema"]:
            self._places[path] = ("ema", path)
        self.specs = {path: _spec(_at(saved, place)) for path, place in self._places.items()}

    def read(self, wanted: Specs) -> dict[str, jax.Array]:
        item: dict = {}
        for path, spec in wanted.items():
            *parents, last = self._places[path]
            node = item
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = spec
        arguments = ocp.checkpoint_utils.construct_restore_args(item)
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
            found = orbax.restore(
                self._folder,
                args=ocp.args.PyTreeRestore(item, restore_args=arguments, partial_restore=True),
            )
        return {path: _at(found, self._places[path]) for path in wanted}


class _Tensors:
    """A safetensors file; float16 there stands for the float32 that was exported as half."""

    def __init__(self, folder: pathlib.Path):
        self.name, self._path = str(folder), folder / TENSORS
        text = (folder / CONFIG).read_text(encoding="utf-8")
        module = TARGET in configs.loads(text, str(folder / CONFIG))
        self._keys: dict[str, str] = {}
        self.specs: dict[str, jax.ShapeDtypeStruct] = {}
        with self._open() as file:
            for key in file.keys():
                kind, _, rest = key.partition(tree.SEPARATOR)
                if module:
                    rest = "module/" + (rest if kind == "params" else key)
                part = file.get_slice(key)
                dtype = "float32" if part.get_dtype() == "F16" else _dtype(part.get_dtype())
                self._keys[rest] = key
                self.specs[rest] = jax.ShapeDtypeStruct(part.get_shape(), dtype)

    def read(self, wanted: Specs) -> dict[str, jax.Array]:
        with self._open() as file:
            return {
                path: _placed(file.get_tensor(self._keys[path]), spec)
                for path, spec in wanted.items()
            }

    def _open(self):
        try:
            return safetensors.safe_open(self._path, framework="numpy")
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{self._path}: is damaged or truncated ({error})") from error


def _newest(folder: pathlib.Path) -> pathlib.Path:
    """The newest checkpoint whose files are what was written."""
    found = folder.iterdir() if folder.is_dir() else ()
    steps = sorted(int(path.name) for path in found if path.name.isdecimal())
    for step in reversed(steps):
        path = folder.absolute() / str(step)
        try:
            manifest.verify(path)
        except manifest.Damaged as error:
            say_once(f"warning: {error}; step {step} is not used")
        else:
            return path
    raise UserError(f"config.init.folder: {folder} holds no checkpoint that can be used")


def _at(node, place):
    for key in place:
        node = node[key]
    return node


def _spec(leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _dtype(code: str) -> str:
    """NumPy's name of a safetensors type: ``F32`` is float32."""
    letters = code.rstrip("0123456789")
    return _KINDS[letters] + code.removeprefix(letters)


def _placed(tensor: np.ndarray, spec: jax.ShapeDtypeStruct) -> jax.Array:
    tensor = tensor.astype(spec.dtype)
    return jax.make_array_from_callback(spec.shape, spec.sharding, lambda part: tensor[part])
