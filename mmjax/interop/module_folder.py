"""One module with its variables in a folder: the layout of this package, exact to the byte.

``config.json`` holds the module's class and fields, ``weights.safetensors`` its variables by path.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from mmjax import config as configs
from mmjax import tree
from mmjax.builder import TARGET, build, constructor_fields
from mmjax.errors import UserError
from mmjax.files import atomic, write_text
from mmjax.interop.folder import read_tensors
from mmjax.typing import Tree

CONFIG, TENSORS = "config.json", "weights.safetensors"


def save_module(module: Any, variables: Mapping[str, Tree], folder: pathlib.Path | str) -> None:
    """Writes the folder.

    Raises:
      UserError: the folder holds something else, or cannot be written.
    """
    folder = pathlib.Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / TENSORS).is_file():
        raise UserError(f"{folder}: holds something else than weights; choose another folder")
    tensors = {
        path: np.ascontiguousarray(leaf).reshape(np.shape(leaf))
        for path, leaf in tree.flatten(variables).items()
    }
    with atomic(folder / TENSORS) as temporary:
        safetensors.numpy.save_file(tensors, os.fspath(temporary), {"format": "mmjax"})
    write_text(folder / CONFIG, configs.dumps(_described(module)) + "\n")


def load_module(folder: pathlib.Path | str) -> tuple[Any, dict[str, Tree]]:
    """The module and the variables of a folder that :func:`save_module` has written.

    Raises:
      UserError: a file is missing or damaged, or the config names no module.
    """
    folder = pathlib.Path(folder)
    for name in (CONFIG, TENSORS):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: is no folder of a module's weights (there is no {name})")
    source = str(folder / CONFIG)
    config = configs.loads((folder / CONFIG).read_text(encoding="utf-8"), source)
    return build(config, source), tree.unflatten(read_tensors(folder / TENSORS))


def _described(value: Any) -> Any:
    """A module as its class and fields, in values that a config holds."""
    if isinstance(value, Mapping):
        return {key: _described(item) for key, item in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    cls = type(value)
    fields = {name: _described(getattr(value, name)) for name in constructor_fields(cls)}
    return {TARGET: f"{cls.__module__}:{cls.__qualname__}", **fields}
