"""Public folders of weights to modules of this package and back."""

import dataclasses
import json
import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.interop import folder
from mmjax.interop.architecture import Architecture, candidates, class_name, find
from mmjax.interop.common import Weight, export_weights, import_weights, report_keys
from mmjax.typing import Tree

EXTRAS = "extras"
_LOG = logging.getLogger(__name__)


def load_pretrained(directory: pathlib.Path | str) -> tuple[Any, dict[str, Tree]]:
    """The module and the variables of a folder that a public ``save_pretrained`` wrote.

    ``module.apply(variables, x, method="encode")`` then works on channels-last arrays. Arrays stay
    in the type they are stored in. The collection ``extras`` carries what has no role here, tensors
    by their public names and the bytes of ``config.json``, so that :func:`save_pretrained` gives
    all of it back.

    Args:
      directory: the folder, or one safetensors file beside its ``config.json``.

    Raises:
      UserError: the class is not known, a field of its config is not supported, a file is missing,
        damaged or pickled, or a tensor is missing or has another shape.
    """
    path = pathlib.Path(directory)
    config = folder.read_config(path)
    architecture = find(class_name(config, str(path)), str(path))
    try:
        module = _build(architecture, config)
        found = from_public(architecture, module, folder.read_tensors(path))
    except UserError as error:
        known = str(error).startswith(str(path))
        raise error if known else UserError(f"{path}: {error}") from error
    extras = found.pop(EXTRAS)
    variables = {**jax.tree.map(_on_device, found), EXTRAS: extras}
    if carried := sorted(extras):
        _LOG.warning("%s: %d tensors have no role: %s", path, len(carried), ", ".join(carried))
    source = path.parent if path.is_file() else path
    text = (source / folder.CONFIG).read_bytes()
    extras[folder.CONFIG] = np.frombuffer(text, np.uint8)
    return module, variables


def save_pretrained(
    module: Any,
    variables: Mapping[str, Tree],
    directory: pathlib.Path | str,
    *,
    architecture: str | None = None,
    shard_bytes: int = folder.SHARD_BYTES,
) -> None:
    """Writes a folder that the public class's ``from_pretrained`` reads.

    Args:
      module: the module.
      variables: its collections; ``extras``, if there, is what :func:`load_pretrained` carried.
      directory: where; weights of an older export in it are replaced.
      architecture: the public class; needed only if the module was not loaded and has several.
      shard_bytes: files larger than that are split, with an index.

    Raises:
      UserError: no public class, or several, fit; or the folder cannot be written.
    """
    extras = dict(variables.get(EXTRAS, {}))
    text = bytes(np.asarray(extras.pop(folder.CONFIG, np.zeros(0, np.uint8))))
    carried = json.loads(text) if text else {}
    names = candidates(module)
    if carried and not architecture:
        names = [class_name(carried, folder.CONFIG)]
    if architecture:
        names = [architecture]
    if len(names) != 1:
        options = f"give architecture=, one of {', '.join(names)}" if names else "no class fits"
        raise UserError(f"{type(module).__name__} has no single public class: {options}")
    found = find(names[0], type(module).__name__)
    if not carried or found.build(carried) != module:
        config = {**_naming(found), **carried, **found.describe(module)}
        text = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    tensors = {**to_public(found, module, variables), **extras}
    arrays = {name: np.asarray(array) for name, array in sorted(tensors.items())}
    folder.write(pathlib.Path(directory), found.library, text, arrays, shard_bytes)


def from_public(
    architecture: Architecture, module: Any, state: Mapping[str, np.ndarray]
) -> dict[str, Tree]:
    """The variables of ``module`` from public tensors; those without a role go to ``extras``.

    Raises:
      UserError: tensors are missing or have another shape.
    """
    state = architecture.modernise(state)
    table = _by_collection(architecture.weights(module))
    wanted = {weight.public for weight in table}
    report_keys(wanted, wanted & state.keys())
    known = {name: array for name, array in state.items() if name in wanted}
    variables = import_weights(table, known, architecture.shapes(module))
    rest = {name: array for name, array in state.items() if name not in wanted}
    return {**variables, EXTRAS: rest}


def to_public(
    architecture: Architecture, module: Any, variables: Mapping[str, Tree]
) -> dict[str, np.ndarray]:
    """The public tensors of ``variables``, without ``extras``."""
    return export_weights(_by_collection(architecture.weights(module)), variables)


def _build(architecture: Architecture, config: Mapping[str, Any]) -> Any:
    try:
        return architecture.build(config)
    except KeyError as error:
        raise UserError(f"config.json: has no {error.args[0]}") from error


def _on_device(array: np.ndarray) -> Any:
    """The array for JAX; as it is where JAX would narrow its type."""
    same = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    return jnp.asarray(array) if same else array


def _by_collection(weights: list[Weight]) -> list[Weight]:
    return [dataclasses.replace(w, path=f"{w.collection}/{w.path}") for w in weights]


def _naming(architecture: Architecture) -> dict[str, Any]:
    """How the library's ``config.json`` names a class."""
    if architecture.library == "diffusers":
        return {"_class_name": architecture.public}
    return {"architectures": [architecture.public]}
