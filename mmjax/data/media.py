"""Reading the fields of one record from files and plain values."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from mmjax.modalities.base import MediaError, Modality


def inside(folder: str, name: Any, where: str) -> str:
    """The path of a file that a manifest names relative to its folder.

    Raises:
      MediaError: the name is absolute, climbs with ``..``, or is a link that leads out of the
        folder; the line begins with ``where``.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise MediaError(f"{where}: expected the name of a file, got {name!r}")
    windows = pathlib.PureWindowsPath(name)  # reads both kinds of slash, and drives
    if windows.drive or windows.root or ".." in windows.parts:
        raise MediaError(f"{where}: {name!r} leaves the manifest's folder")
    path = os.path.join(folder, name)
    root = os.path.realpath(folder)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise MediaError(f"{where}: {name!r} is a link that leaves the manifest's folder")
    return path


def read_file(modality: Modality, path: str, start: float | int = 0.0) -> Any:
    """A file's content; ``start`` seconds in, where the modality has a time axis."""
    return modality.read(path, start) if "time" in modality.axes else modality.read(path)


def read_values(
    modalities: Mapping[str, Modality], values: Mapping[str, Any], folder: str, where: str
) -> dict[str, Any]:
    """One record from the values of a manifest's entry.

    A medium's value is the name of its file; a medium without a value is taken from the first
    other file of the entry that can hold it, such as the sound of a film. ``start`` is the second
    at which film and sound begin. Values that are no modality stay as they are.
    """
    start = values.get("start", 0.0)
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not 0 <= start < 1e9:
        raise MediaError(f"{where}: start must be seconds from 0 on, got {start!r}")
    record = {k: v for k, v in values.items() if not (k in modalities and modalities[k].by_path)}
    for name, modality in modalities.items():
        if modality.by_path:
            file = values[name] if name in values else _holding(modality, modalities, values)
            if file is None:
                raise MediaError(f"{where}: no file for {name!r}")
            record[name] = read_file(modality, inside(folder, file, where), start)
        elif name in values:
            record[name] = modality.parse(values[name], f"{where}: {name}")
        else:
            raise MediaError(f"{where}: no value for {name!r}")
    return record


def _holding(
    modality: Modality, modalities: Mapping[str, Modality], values: Mapping[str, Any]
) -> str | None:
    """The first file named in ``values`` whose suffix is one of the modality's."""
    for name, value in values.items():
        plain = name in modalities and not modalities[name].by_path
        if not plain and isinstance(value, str) and suffix(value) in modality.suffixes:
            return value
    return None


def suffix(path: str) -> str:
    """The file name's ending in lower case."""
    return os.path.splitext(path)[1].lower()
