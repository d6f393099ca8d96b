"""Ends runs at random moments, starts them again until they are done, and compares them."""

import os
import pathlib
import random
import shutil
import signal
import time
from typing import Any, NamedTuple

from benchmarks.reliability.book import Book
from benchmarks.reliability.compare import differences
from benchmarks.reliability.forked import in_fork
from benchmarks.reliability.watched import STEPS, Board, ended, start

MOST_FAILURES = 3
_LONG = {"start": 1.0, "compile": 1.0, "initialisation": 0.5, "restore": 0.3}
_OFTEN = ("data", "step", "save", "writing")  # entered at every step, or every other one
_PATIENCE = 300.0  # seconds, after which a start hangs


class Moment(NamedTuple):
    """When to end a start: ``delay`` seconds after it has entered a phase for the nth time."""

    phase: str
    times: int
    delay: float
    twice: bool
    compiles: bool


def draw(kind: str, source: random.Random) -> Moment:
    """A random moment; a request to stop can only be met once Python runs the command."""
    phases = ["restore", "compile", "data", "step", "save", "writing", "evaluate", "preview"]
    phase = source.choice(phases + (["start"] if kind == "SIGKILL" else []))
    return Moment(
        phase,
        source.randint(1, 8) if phase in _OFTEN else int(phase != "start"),
        source.uniform(0.0, _LONG.get(phase, 0.15)),
        kind == "SIGTERM" and source.random() < 0.5,
        source.random() < (0.5 if phase == "compile" else 0.05),
    )


def end_runs(kind: str, number: int, place: pathlib.Path, reference: dict, book: Book) -> None:
    """Ends runs ``number`` times by a signal, those counted that the book holds already."""
    place.mkdir(parents=True, exist_ok=True)
    board, seed = Board(), book.content["about"]["seed"]
    while len(book.cases("failures")) < MOST_FAILURES:
        done, runs = len(book.cases(kind)), len(book.cases("runs", kind=kind))
        workdir = place / f"run{runs}"
        if done >= number and not workdir.exists():  # the last run is compared too
            return
        # A run that was over before the moment came is followed by one with another moment.
        moment = draw(kind, random.Random(f"{seed} {kind} {done} {runs}"))
        last = done >= number
        process = start(workdir, board, compiles=moment.compiles and not last)
        code = _until(None if last else moment, process, board, book, (kind, runs))
        if code is None:
            case = {"run": runs} | _end(kind, process, board, moment)
            if kind != "SIGKILL" or case["code"]:  # else it was over before the signal came
                book.add(kind, case)
        elif code:
            book.add("failures", {"kind": kind, "run": runs, "code": code, "log": _last(place)})
            workdir.rename(place / f"failed{len(book.cases('failures'))}")
        else:
            if board.read().step < 0:  # an earlier start has been to the end
                _note_recovery(STEPS, 0.0, book, (kind, runs))
            differ = in_fork(differences, str(workdir), reference)
            if differ:
                workdir.rename(place / f"differs{runs}")
            else:
                shutil.rmtree(workdir)
            book.add("runs", {"kind": kind, "differ": differ})


def _until(moment: Moment | None, process: int, board: Board, book: Book, run) -> int | None:
    """Waits for the moment; the exit code of a start that ends before. Notes how it recovers."""
    began, recovered = time.monotonic(), False
    while time.monotonic() < began + _PATIENCE:
        if not recovered and board.read().step >= 0:
            recovered = True
            _note_recovery(board.read().restored, time.monotonic() - began, book, run)
        if moment is not None and (
            moment.phase == "start" or board.times(moment.phase) >= moment.times
        ):
            return ended(process, moment.delay)
        if (code := ended(process, 0.005)) is not None:
            return code
    os.kill(process, signal.SIGKILL)
    ended(process, _PATIENCE)
    return 75


def _note_recovery(restored: int, seconds: float, book: Book, run: tuple[str, int]) -> None:
    """Adds to the last endings of this run what the next start has found."""
    kind, number = run
    waiting = [case for case in book.cases(kind, run=number) if case["lost"] is None]
    for case in waiting:
        case["lost"] = max(case["step"] - restored, 0)
    if waiting:
        waiting[-1]["recovery"] = round(seconds, 2)
        book.save()


def _end(kind: str, process: int, board: Board, moment: Moment) -> dict[str, Any]:
    """Sends the signal; what it met and how the process ended."""
    met, began = board.read(), time.monotonic()
    os.kill(process, getattr(signal, kind))
    if moment.twice:  # some schedulers ask again
        time.sleep(moment.delay / 4)
        os.kill(process, getattr(signal, kind))
    code = ended(process, _PATIENCE)
    last = board.read()
    return {
        "phase": met.phase, "writing": met.writing, "compiled anew": moment.compiles,
        "twice": moment.twice, "code": code, "seconds": round(time.monotonic() - began, 3),
        "step": max(last.step, last.restored), "lost": None, "recovery": None,
    }  # fmt: skip


def _last(place: pathlib.Path) -> list[str]:
    return (place / "log.txt").read_text(errors="replace").splitlines()[-40:]


def leave_alone(place: pathlib.Path) -> pathlib.Path:
    """The folder of a run that nothing ends; RuntimeError with its log where it fails."""
    place.mkdir(parents=True, exist_ok=True)
    workdir, board = place / "run", Board()
    code = ended(start(workdir, board), 2 * _PATIENCE)
    if code != 0 or board.read().step not in (-1, STEPS):
        raise RuntimeError(f"the run that is left alone ended with {code}: {_last(place)}")
    return workdir
