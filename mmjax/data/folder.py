"""A folder of media files with captions beside them."""

import csv
import dataclasses
import functools
import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

from mmjax.data.jsonl import parse_line
from mmjax.data.media import inside, read_file, suffix
from mmjax.errors import UserError
from mmjax.modalities.base import MediaError, Modality

CAPTIONS = ("captions.jsonl", "captions.csv")
_FILE = "file"  # the column that names the medium


@dataclasses.dataclass(frozen=True)
class Folder:
    """One record per media file, or per group of files with the same stem, subfolders included.

    ``clip.mp4`` with ``clip.txt`` is a film, its sound and its caption; ``clip.wav`` beside them
    would be the sound instead. Captions, and values such as a label, may also stand in
    ``captions.jsonl`` (``{"file": "clip.mp4", "text": "...", "label": 3}``) or ``captions.csv``
    (a header ``file,text``) at the top of the folder; a text file beside the medium has priority.
    Hidden files and links that lead out of the folder are left out.

    Attributes:
      root: the folder.
      modalities: by field; by default those of the config.
    """

    root: str
    modalities: Mapping[str, Modality]

    def __post_init__(self):
        if not os.path.isdir(self.root):
            raise UserError(f"{self.root}: no such folder")
        if not self._stems:
            kinds = ", ".join(name for name, m in self.modalities.items() if m.by_path)
            raise UserError(f"{self.root}: holds no file of {kinds or 'any modality'}")
        for name, modality in self.modalities.items():
            if not modality.by_path and not self._somewhere(name, modality):
                beside = "".join(f"a {s} file beside each medium, " for s in modality.suffixes)
                raise UserError(f"{self.root}: no {name} ({beside}{' or '.join(CAPTIONS)})")

    def __len__(self) -> int:
        return len(self._stems)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        stem = self._stems[operator.index(index)]
        return {name: self._field(stem, name, m) for name, m in self.modalities.items()}

    def name_of(self, index: int) -> str:
        """The path without its suffix."""
        return os.path.join(self.root, self._stems[index])

    def _field(self, stem: str, name: str, modality: Modality) -> Any:
        for ending in modality.suffixes:
            if ending in self._files[stem]:
                file = self._files[stem][ending]
                return read_file(modality, inside(self.root, file, self.root))
        if name in self._rows.get(stem, {}):
            where, value = self._rows[stem][name]
            return modality.parse(value, where)
        raise MediaError(f"{os.path.join(self.root, stem)}: no {name}")

    def _somewhere(self, name: str, modality: Modality) -> bool:
        return any(
            name in self._rows.get(stem, {}) or set(modality.suffixes) & set(self._files[stem])
            for stem in self._stems
        )

    @functools.cached_property
    def _stems(self) -> list[str]:
        """What has a file of some medium, in alphabetical order."""
        media = {s for m in self.modalities.values() if m.by_path for s in m.suffixes}
        return sorted(stem for stem, files in self._files.items() if media & set(files))

    @functools.cached_property
    def _files(self) -> dict[str, dict[str, str]]:
        """Stem to suffix to path, all relative to the root."""
        root, found = os.path.realpath(self.root), {}
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = os.path.join(folder, name)
                real = os.path.realpath(path)
                if name.startswith(".") or os.path.commonpath([root, real]) != root:
                    continue
                relative = os.path.relpath(path, root)
                stem = os.path.splitext(relative)[0]
                found.setdefault(stem, {}).setdefault(suffix(name), relative)
        return found

    @functools.cached_property
    def _rows(self) -> dict[str, dict[str, tuple[str, Any]]]:
        """Stem to field to its place and value in a captions file."""
        rows: dict[str, dict[str, tuple[str, Any]]] = {}
        for name, read in zip(CAPTIONS, (_json_rows, _csv_rows), strict=True):
            path = os.path.join(self.root, name)
            if not os.path.exists(path):
                continue
            for where, values in read(path):
                if not isinstance(values.get(_FILE), str):
                    raise UserError(f"{where}: names no {_FILE}")
                stem = os.path.splitext(os.path.normpath(values[_FILE]))[0]
                if stem in rows:
                    raise UserError(f"{where}: {values[_FILE]!r} has a caption already")
                rows[stem] = {k: (where, v) for k, v in values.items() if k != _FILE}
        return rows


def _json_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, parse_line(line, where)


def _csv_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            if _FILE not in (reader.fieldnames or ()):
                raise UserError(f"{path}:1: the header must name a column {_FILE!r}")
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{where}: expected {len(reader.fieldnames)} columns")
                yield where, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}:{reader.line_num + 1}: is not CSV ({error})") from error
