"""Rows of numbers in NumPy files."""

import io
from typing import Any

import numpy as np

from mmjax.files import atomic
from mmjax.modalities.base import MediaError, Modality
from mmjax.typing import Float


def read_rows(path: str) -> np.ndarray:
    """The array of a ``.npy`` file; MediaError where it is none, or would have to be unpickled."""
    try:
        # Mapped, for a header may promise more than the file holds, or memory.
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        raise MediaError(f"{path}: is no NumPy array ({error})") from error


def parse_rows(modality: Modality, value: Any, where: str, kind: str) -> Float[np.ndarray, "N D"]:
    """The first rows of an array of numbers, as many as the modality's shape ``(N, D)`` says.

    Raises:
      MediaError: there are fewer, of other widths, or numbers out of the modality's range; the line
        begins with ``where`` and calls the rows ``kind``.
    """
    array, (rows, width) = np.asarray(value), modality.shape
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != width:
        found = f"{array.dtype} {list(array.shape)}"
        raise MediaError(f"{where}: expected [{kind}, {width}] numbers, got {found}")
    if len(array) < rows:
        raise MediaError(f"{where}: has {len(array)} {kind}, fewer than {rows}")
    array = np.array(array[:rows], np.float32)
    modality.check(array, where)
    if np.abs(array).max() > modality.value_range[1]:
        raise MediaError(f"{where}: holds numbers beyond {modality.value_range[1]:g}")
    return array


def save_rows(path: str, array: Float[np.ndarray, "N D"]) -> None:
    """A ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array)
    with atomic(path) as temporary:
        temporary.write_bytes(file.getvalue())
