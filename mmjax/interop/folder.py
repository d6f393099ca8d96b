"""Public weight folders: ``config.json`` beside safetensors files, whole or in shards.

Read and written as diffusers' and transformers' ``save_pretrained`` do. Nothing is unpickled.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from mmjax.errors import UserError
from mmjax.files import atomic, read_json, write_text

CONFIG, PIPELINE = "config.json", "model_index.json"
STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
SHARD_BYTES = 10 * 10**9
_SUFFIX, _INDEX = ".safetensors", ".safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def read_config(path: pathlib.Path) -> dict[str, Any]:
    """The ``config.json`` of a folder, or of the folder of a single file.

    Raises:
      UserError: there is none, or it is no JSON object.
    """
    folder = path.parent if path.is_file() else path
    if not (folder / CONFIG).is_file():
        if (folder / PIPELINE).is_file():
            parts = ", ".join(sorted(part.parent.name for part in folder.glob(f"*/{CONFIG}")))
            raise UserError(f"{folder}: is a pipeline; give one of its folders: {parts}")
        raise UserError(f"{folder}: holds no {CONFIG}; give a folder that save_pretrained wrote")
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG}: expected a JSON object")
    return config


def read_tensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Every tensor of a folder or of a single safetensors file, in its stored type.

    Raises:
      UserError: a file is missing, damaged or pickled, or holds a type NumPy cannot.
    """
    if path.is_file():
        return _read_file(path)
    indices = sorted(path.glob(f"*{_INDEX}"))
    shards = set().union(*(set(_shards(index).values()) for index in indices))
    files = sorted(file for file in path.glob(f"*{_SUFFIX}") if file.name not in shards)
    plain = [file for file in files if file.stem in STEMS.values()]
    choices = plain or [index for index in indices if index.name[: -len(_INDEX)] in STEMS.values()]
    choices = choices or [*files, *indices]
    if not choices:
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
        found = f"only pickled weights ({pickled[0]}), which are not read" if pickled else "none"
        raise UserError(f"{path}: wants weights in {_SUFFIX} files and holds {found}")
    if len(choices) > 1:
        names = ", ".join(choice.name for choice in choices)
        raise UserError(f"{path}: holds several sets of weights ({names}); give one file's path")
    return _read_shards(choices[0]) if choices[0] in indices else _read_file(choices[0])


def write(
    folder: pathlib.Path,
    library: str,
    config: bytes,
    tensors: Mapping[str, np.ndarray],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes ``config.json`` and the tensors; weights of an older export go.

    Args:
      folder: where; made if it is not there.
      library: whose file names to use, a key of ``STEMS``.
      config: the bytes of ``config.json``.
      tensors: what to write.
      shard_bytes: a file holds no more than that, unless one tensor alone does.
    """
    stem = STEMS[library]
    shards = _split(tensors, shard_bytes)
    names = [f"{stem}-{i + 1:05}-of-{len(shards):05}{_SUFFIX}" for i in range(len(shards))]
    if len(shards) == 1:
        names = [f"{stem}{_SUFFIX}"]
    for name, shard in zip(names, shards, strict=True):
        with atomic(folder / name) as temporary:
            # transformers refuses files that do not say from which framework they come
            safetensors.numpy.save_file(shard, temporary, {"format": "pt"})
    index = f"{stem}{_INDEX}"
    if len(shards) > 1:
        places = {key: n for n, shard in zip(names, shards, strict=True) for key in sorted(shard)}
        size = sum(array.nbytes for array in tensors.values())
        content = {"metadata": {"total_size": size}, "weight_map": places}
        write_text(folder / index, json.dumps(content, indent=2, sort_keys=True) + "\n")
        names.append(index)
    for old in [*folder.glob(f"{stem}*{_SUFFIX}"), folder / index]:
        if old.name not in names:
            old.unlink(missing_ok=True)
    with atomic(folder / CONFIG) as temporary:
        temporary.write_bytes(config)


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        reason = f"damaged, truncated, or a pickle: {error}"
        raise UserError(f"{path}: is no whole safetensors file ({reason})") from error
    except (AttributeError, KeyError, TypeError) as error:  # an 8-bit float, for one
        raise UserError(f"{path}: holds a tensor of a type that is not read ({error})") from error


def _shards(index: pathlib.Path) -> dict[str, str]:
    """Tensor names to file names of an index."""
    content = read_json(index)
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError(f"{index}: has no weight_map")
    for name in places.values():
        if not isinstance(name, str) or name != pathlib.PurePath(name).name:
            raise UserError(f"{index}: {name!r} is no file beside it")
    return places


def _read_shards(index: pathlib.Path) -> dict[str, np.ndarray]:
    places, tensors = _shards(index), {}
    for name in sorted(set(places.values())):
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent / name}: the shard is missing")
        tensors |= _read_file(index.parent / name)
    if absent := sorted(places.keys() - tensors.keys()):
        file = index.parent / places[absent[0]]
        raise UserError(f"{file}: the shard lacks {absent[0]!r}, which the index says is there")
    return tensors


def _split(tensors: Mapping[str, np.ndarray], limit: int) -> list[dict[str, np.ndarray]]:
    """The tensors in order, cut where a file would exceed ``limit`` bytes."""
    shards, size = [{}], 0
    for name, array in tensors.items():
        if shards[-1] and size + array.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = np.ascontiguousarray(array).reshape(array.shape)
        size += array.nbytes
    return shards
