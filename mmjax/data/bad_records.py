"""Records that cannot be used: replaced in their slots, counted once each, and named."""

import json
import logging
import os
import pathlib
import tempfile
import weakref
from typing import Any

import numpy as np

from mmjax.errors import UserError

_LOG = logging.getLogger(__name__)
_MOST_REASON = 1000  # letters; one line is one write, which other processes cannot split
_MOST_NAMED = 20  # in the log; the file names all


class BadRecords:
    """A list of bad records, one JSON line each, that several processes may append to.

    It travels to worker processes, which add; the main process polls. A record's id counts once,
    however often it is met, also over the restarts of a run.
    """

    def __init__(self, path: os.PathLike | str | None = None):
        """``path`` is made by the first bad record; None is a temporary file."""
        self._kept = path is not None
        if path is None:
            handle, name = tempfile.mkstemp(prefix="mmjax-bad-records-", suffix=".jsonl")
            os.close(handle)
            path = pathlib.Path(name)
            weakref.finalize(self, path.unlink, missing_ok=True)
        self.path = pathlib.Path(path)
        self._added: set[str] = set()
        self._reasons: dict[str, str] = {}
        self._offset = 0

    def add(self, name: str, reason: str) -> None:
        """Appends a record that is not there yet; processes that meet one at once may both do."""
        if name in self._added or name in self._listed():
            return
        self._added.add(name)
        line = json.dumps({"id": name, "reason": reason[:_MOST_REASON]}) + "\n"
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _listed(self) -> set[str]:
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return set()
        return {json.loads(line)["id"] for line in lines if line.endswith(b"\n")}

    def poll(self) -> dict[str, str]:
        """All bad records so far, id to reason; new ones are logged."""
        try:
            if os.stat(self.path).st_size == self._offset:  # asked before every step
                return self._reasons
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return self._reasons
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._offset += len(line)
            entry = json.loads(line)
            if entry["id"] not in self._reasons:
                self._reasons[entry["id"]] = entry["reason"]
                self._report(entry)
        return self._reasons

    def conclude(self) -> None:
        """Says how many there were, if there were any."""
        if found := self.poll():
            where = f"; {self.path} names them" if self._kept else ""
            _LOG.warning("bad records replaced in all: %d%s", len(found), where)

    def require_few(self, share: float | int, seen: int) -> None:
        """Stops the run where more than ``share`` of the ``seen`` records are bad."""
        found = self.poll()
        if len(found) > share * seen:
            raise UserError(
                f"{len(found)} of {seen} records are bad, more than the share {share:g} allowed; "
                f"the last: {_described(*list(found.items())[-1])}; all: {self.path}"
            )

    def _report(self, entry: dict[str, str]) -> None:
        if len(self._reasons) <= _MOST_NAMED:
            _LOG.warning("bad record replaced: %s", _described(entry["id"], entry["reason"]))
        if len(self._reasons) == _MOST_NAMED:
            _LOG.warning("further bad records are only listed in %s", self.path)


def name_of(source: Any, index: int) -> str:
    """A record's name for people: what its source says, or its number."""
    if hasattr(source, "name_of"):
        return source.name_of(index)
    return f"{type(source).__name__}[{index}]"


def replacement(seed: int, epoch: int, index: int, attempt: int, count: int) -> int:
    """The record, of ``count``, that takes the place of bad record ``index``."""
    state = np.random.SeedSequence((seed, epoch, index, attempt)).generate_state(1, np.uint64)
    return int(state[0] % np.uint64(count))


def _described(name: str, reason: str) -> str:
    """One line with the record's name once."""
    return reason if name in reason else f"{name}: {reason}"
