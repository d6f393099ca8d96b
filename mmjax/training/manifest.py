"""The manifest of a checkpoint: a checksum of every file, written once all of them are there.

``12.sha256`` lies beside the folder ``12`` and has the format of ``sha256sum``, which checks it too
(``cd checkpoints; sha256sum -c 12.sha256``). Its last line holds the checksum of the lines before.
A checkpoint whose manifest is missing, incomplete or wrong is not used: Orbax restores flipped bits
and zeroed blocks without an error.
"""

import hashlib
import itertools
import pathlib

import jax
import orbax.checkpoint as ocp

from mmjax.errors import UserError
from mmjax.files import write_text

_UNFINISHED = "# this checkpoint is being written\n"
_LAST = "# sha256 of the lines above: "
_LIMIT = 20 * 60 * 1000  # milliseconds that processes wait for each other's checksums
_barriers = itertools.count()


class Damaged(UserError):
    """A checkpoint that must not be used; the message names it and what is wrong."""


def begin(folder: pathlib.Path) -> None:
    """Marks ``folder`` as being written, before it gets its name."""
    if jax.process_index() == 0:
        write_text(_path(folder), _UNFINISHED)


def seal(folder: pathlib.Path) -> None:
    """Writes the manifest of ``folder``, whose files are complete.

    Every process calls this and reads its share of the files; the first one writes.
    """
    lines = _checksums(folder, _share(files(folder)))
    if jax.process_count() > 1:
        lines = _gathered(folder, lines)
    if jax.process_index() == 0:
        text = "".join(sorted(lines))
        write_text(_path(folder), f"{text}{_LAST}{_hex(text.encode())}\n")


def sealed(folder: pathlib.Path) -> bool:
    """Whether ``folder`` has a manifest that is more than a mark."""
    path = _path(folder)
    return path.is_file() and path.stat().st_size > len(_UNFINISHED)


def unfinished(folder: pathlib.Path) -> bool:
    """Whether the process that wrote ``folder`` ended before it was complete."""
    path = _path(folder)
    return path.is_file() and path.read_bytes() == _UNFINISHED.encode()


def verify(folder: pathlib.Path) -> None:
    """Reads this process's share of the files and compares their checksums.

    Raises:
      Damaged: the manifest cannot be used, or a file is missing or not what was written.
    """
    for expected, name in _share(_read(folder)):
        path = folder.parent / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Damaged(f"{path}: cannot be read ({error.strerror})") from error
        if found != expected:
            raise Damaged(f"{path}: is damaged (its checksum is not that of {_path(folder).name})")


def remove(folder: pathlib.Path) -> None:
    """Removes the manifest, so that what is left of ``folder`` is no longer used."""
    _path(folder).unlink(missing_ok=True)


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files under ``folder``, in the same order everywhere."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read(folder: pathlib.Path) -> list[tuple[str, str]]:
    """The (checksum, file) pairs of a manifest that agrees with its own checksum."""
    path = _path(folder)
    if unfinished(folder):
        raise Damaged(f"{folder}: was not finished")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{folder}: there is no {path.name}, so nothing vouches for it") from error
    text, last, checksum = content.rpartition(_LAST.encode())
    if not last or checksum != f"{_hex(text)}\n".encode():
        raise Damaged(f"{path}: is damaged, so nothing vouches for {folder.name}")
    return [tuple(line.split("  ", 1)) for line in text.decode().splitlines()]


def _checksums(folder: pathlib.Path, paths: list[pathlib.Path]) -> list[str]:
    lines = []
    for path in paths:
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{checksum}  {path.relative_to(folder.parent).as_posix()}\n")
    return lines


def _gathered(folder: pathlib.Path, lines: list[str]) -> list[str]:
    """The lines of all processes, on the first; they pass through files beside the folder."""

    def part(process: int) -> pathlib.Path:
        return folder.parent / f".{folder.name}.part{process}"

    write_text(part(jax.process_index()), "".join(lines))
    wait = ocp.multihost.get_barrier_sync_fn()
    wait(key=f"checksums of {folder.name}, {next(_barriers)}", timeout_ms=_LIMIT)
    if jax.process_index():
        return []
    parts = [part(process) for process in range(jax.process_count())]
    lines = [line for path in parts for line in path.read_text().splitlines(keepends=True)]
    for path in parts:
        path.unlink()
    return lines


def _share(items: list) -> list:
    return items[jax.process_index() :: jax.process_count()]


def _path(folder: pathlib.Path) -> pathlib.Path:
    return folder.parent / f"{folder.name}.sha256"


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
