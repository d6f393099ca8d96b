"""The manifest of a checkpoint: a checksum of every file, written once all of them are there.

``12.sha256`` lies beside the folder ``12`` and has the format of ``sha256sum``, which checks it too
(``cd checkpoints; sha256sum -c 12.sha256``). Its last line holds the checksum of the lines before.
A checkpoint whose manifest is missing, incomplete or wrong is not used: Orbax restores flipped bits
and zeroed blocks without an error.
"""

import hashlib
import pathlib

from mmjax.errors import UserError
from mmjax.files import write_text
from mmjax.sharding.multihost import is_main, share, whoami

TEMPORARY = ".*.sha256"  # what a process that was killed while it wrote one leaves
_UNFINISHED = "# this checkpoint is being written\n"
_LAST = "# sha256 of the lines above: "


class Damaged(UserError):
    """A checkpoint that must not be used; the message names it and what is wrong."""


def begin(folder: pathlib.Path) -> None:
    """Marks ``folder`` as being written, before it gets its name."""
    if is_main():
        write_text(_path(folder), _UNFINISHED)


def seal(folder: pathlib.Path) -> None:
    """Writes the manifest of ``folder``, whose files are complete.

    Every process calls this and reads its share of the files; the first one writes.
    """
    own = "".join(_checksums(folder, _part(files(folder))))
    text = "".join(share("checksums of a checkpoint", own))
    if is_main():
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
    """Compares the checksums of all files with the manifest.

    Every process calls this and reads its share of the files; what one finds, all raise.

    Raises:
      Damaged: the manifest cannot be used, or a file is missing or not what was written.
    """
    found = share("verification of a checkpoint", _problem(folder))
    if problem := next(filter(None, found), None):
        raise Damaged(problem)


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
    return [f"{_checksum(p)}  {p.relative_to(folder.parent).as_posix()}\n" for p in paths]


def _checksum(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _problem(folder: pathlib.Path) -> str:
    """What is wrong with this process's share of the files; empty if nothing is."""
    try:
        expected = _read(folder)
    except Damaged as error:
        return str(error)
    for checksum, name in _part(expected):
        path = folder.parent / name
        try:
            found = _checksum(path)
        except OSError as error:
            return f"{path}: cannot be read ({error.strerror})"
        if found != checksum:
            return f"{path}: is damaged (its checksum is not that of {_path(folder).name})"
    return ""


def _part(items: list) -> list:
    process, processes = whoami()
    return items[process::processes]


def _path(folder: pathlib.Path) -> pathlib.Path:
    return folder.parent / f"{folder.name}.sha256"


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
