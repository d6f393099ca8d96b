"""Kills, requests to stop and damaged checkpoints, by the hundred; what they cost and what is lost.

A run of a small system (AdamW, moving averages, a collection, an objective with a state) is ended
at random moments and started again until it is done, and then compared with the run that was left
alone: every number of the state, every row of the metrics, and the next batch. Each start is a
process of its own, forked from one that has imported everything.

    python -m benchmarks.reliability --kills 200 --stops 100 --damages 200
"""

import argparse
import collections
import dataclasses
import datetime
import json
import mmap
import os
import pathlib
import platform
import random
import signal
import sys
import tempfile
import time

import jax
import numpy as np

from mmjax.training import loop, manifest
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.interrupt import Interrupt
from mmjax.training.optimiser import AdamW, Schedule
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics
from tests.training import toy
from tests.training.damage import damage
from tests.training.pairs import first_state, system

STEPS, SAVE_EVERY, EVALUATE_EVERY, PREVIEW_EVERY = 60, 2, 7, 11
PHASES = ("start", "compile", "step", "save", "evaluate", "preview", "end")
MOST_STEPS, LONGEST = 12, 0.4  # an ending is drawn from so many steps, and seconds after them


def made():
    """The system that is trained."""
    small = system(
        updates=toy.one_update(optimiser=AdamW(Schedule(0.05))), ema=0.9, log_every=1, keep=3,
        save_every=SAVE_EVERY, evaluate_every=EVALUATE_EVERY, preview_every=PREVIEW_EVERY,
    )  # fmt: skip
    return dataclasses.replace(small, train=dataclasses.replace(small.train, steps=STEPS))


class Board:
    """Memory that a run and its watcher share: the phase that it is in, and its step."""

    def __init__(self):
        self._memory = mmap.mmap(-1, 8)

    def write(self, phase: str | None = None, step: int | None = None) -> None:
        """Notes where the run is."""
        if phase is not None:
            self._memory[0] = PHASES.index(phase)
        if step is not None:
            self._memory[4:8] = step.to_bytes(4, "little")

    def read(self) -> tuple[str, int]:
        """Phase and step."""
        return PHASES[self._memory[0]], int.from_bytes(self._memory[4:8], "little")


def run(workdir: pathlib.Path, board: Board) -> None:
    """One start of the training, in a process of its own: it does not return."""
    code = 1
    try:
        with Interrupt() as interrupt:
            watched(board)
            loop.train(
                made(), Workdir(workdir), interrupt=interrupt,
                evaluate=hook(board, "evaluate"), preview=hook(board, "preview"),
            )  # fmt: skip
            board.write("end")
            code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def watched(board: Board) -> None:
    """Has the parts of the loop say when they begin and end."""
    step, save = loop._Run._step, Checkpoints.save

    def noted_step(training):
        board.write("step" if board.read()[1] else "compile")
        step(training)
        board.write("step", training.at)

    def noted_save(checkpoints, state):
        board.write("save")
        save(checkpoints, state)
        board.write("step")

    loop._Run._step, Checkpoints.save = noted_step, noted_save


def hook(board: Board, phase: str):
    """A hook that takes a while and writes a row."""

    def call(system, state, step, workdir, writer):
        board.write(phase)
        for _ in range(30):
            time.sleep(0.005)
        writer.scalars(step, {phase: float(state.params["model"]["dense"]["bias"].sum())})
        board.write("step")

    return call


def start(workdir: pathlib.Path, board: Board) -> int:
    """Forks a start of the run; its process."""
    board.write("start", 0)
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(os.open(workdir.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        run(workdir, board)
    return process


def met(process: int, board: Board, moments: random.Random) -> int | None:
    """Waits for a random moment: of the start, or after some steps; the status if it ends first."""
    steps = moments.choice([0, *range(MOST_STEPS)])
    deadline, begun = time.monotonic() + 120.0, None
    while steps and time.monotonic() < deadline:
        if (status := ended(process, 0.003)) is not None:
            return status
        now = board.read()[1]
        begun = now if begun is None and now else begun
        if begun is not None and now - begun >= steps - 1:
            break
    return ended(process, moments.uniform(0.0, LONGEST if steps else 4 * LONGEST))


def ended(process: int, seconds: float) -> int | None:
    """The exit status of a process that ends within ``seconds``, or None."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := os.waitpid(process, os.WNOHANG))[0]:
            return found[1]
        time.sleep(0.002)
    return None


def rows(workdir: pathlib.Path) -> list[dict]:
    """The metrics without what a clock has said; a hook may repeat its row, never change it."""
    found = []
    for row in read_metrics(workdir / "metrics.jsonl"):
        row = {k: v for k, v in row.items() if not k.endswith(("_per_second", "_seconds"))}
        if len(row) > 1 and row not in found[-1:]:
            found.append(row)
    return found


def newest(workdir: pathlib.Path):
    """The newest state on disk, and the lines about those that were passed over."""
    checkpoints, said = Checkpoints(workdir / "checkpoints", keep=3), []
    abstract = jax.eval_shape(lambda: first_state(made()))
    state = checkpoints.restore_newest(abstract, said.append)
    checkpoints.close()
    return state, said


def differences(workdir: pathlib.Path, reference: pathlib.Path) -> list[str]:
    """What of two finished runs is not equal to the bit."""
    (state, said), (expected, _) = newest(workdir), newest(reference)
    found = [f"a checkpoint was not good: {line}" for line in said]
    for name in ("step", "params", "opt", "ema", "mutable", "objective", "data_offset"):
        pairs = zip(
            jax.tree.leaves(getattr(state, name)), jax.tree.leaves(getattr(expected, name)),
            strict=True,
        )  # fmt: skip
        if not all(np.array_equal(one, other) for one, other in pairs):
            found.append(name)
    if rows(workdir) != rows(reference):
        found.append("metrics")
    position = int(state.step) + int(state.data_offset)
    one, other = next(make_pipeline(made()).iterate(position)), make_pipeline(made()).batch(STEPS)
    if not all(np.array_equal(one[name], other[name]) for name in other):
        found.append("next batch")
    return found


def in_fork(function, *arguments):
    """What ``function`` returns in a process of its own, for JAX must not run in one that forks."""
    near, far = os.pipe()
    if (process := os.fork()) == 0:
        try:
            result = json.dumps(function(*arguments))
        except BaseException as error:
            result = json.dumps({"error": repr(error)})
        os.write(far, result.encode())
        os._exit(0)
    os.close(far)
    with os.fdopen(near) as file:
        text = file.read()
    os.waitpid(process, 0)
    found = json.loads(text)
    if isinstance(found, dict) and "error" in found:
        raise RuntimeError(found["error"])
    return found


def endings(folder: pathlib.Path, reference: pathlib.Path, number: int, kill: bool, moments):
    """Ends runs ``number`` times; counts of what happened."""
    board, counts = Board(), collections.Counter()
    phases, waits, workdir = collections.Counter(), [], folder / "run0"
    while counts["endings"] < number or workdir.exists():  # the last run is compared too
        process, left = start(workdir, board), number - counts["endings"]
        status = met(process, board, moments) if left else ended(process, 600.0)
        if status is None:
            phase, step = board.read()
            began = time.monotonic()
            os.kill(process, signal.SIGKILL if kill else signal.SIGTERM)
            if not kill and moments.random() < 0.5:  # some schedulers ask twice
                time.sleep(moments.uniform(0.0, 0.1))
                os.kill(process, signal.SIGTERM)
            status = ended(process, 60.0)
            counts["endings"] += 1
            phases[phase] += 1
            waits.append(time.monotonic() - began)
            if not kill:
                early = phase == "start" and status == signal.SIGTERM  # before it could listen
                counts["before the first instruction"] += early
                counts["exit code other than 0"] += status != 0 and not early
                last = max(board.read()[1], step)
                saved = 0 if early or not last else in_fork(saved_step, str(workdir))
                counts["more than a step lost"] += saved < last - 1
        elif status:
            counts["failed by itself"] += 1
            break
        else:
            counts["runs to the end"] += 1
            for name in in_fork(differences, workdir, reference):
                counts[f"differs: {name}"] += 1
            workdir = folder / f"run{counts['runs to the end']}"
    return counts, phases, waits


def saved_step(workdir: str) -> int:
    """The step of the newest good checkpoint; 0 without one."""
    state, _ = newest(pathlib.Path(workdir))
    return 0 if state is None else int(state.step)


def damages(reference: pathlib.Path, number: int, seed: int) -> dict[str, list[int]]:
    """Spoils the newest checkpoint ``number`` times; by kind: cases, named, previous step used."""
    checkpoints = Checkpoints(reference / "checkpoints", keep=3)
    moments, found = random.Random(seed), {}
    abstract = jax.eval_shape(lambda: first_state(made()))
    before, last = checkpoints.steps()[-2:]
    folder = checkpoints.folder / str(last)
    files = [*manifest.files(folder), folder.with_suffix(".sha256")]
    whole = {path: path.read_bytes() for path in files}
    for _ in range(number):
        path, kind = damage(folder, moments)
        said = []
        state = checkpoints.restore_newest(abstract, said.append)
        counts = found.setdefault(kind, [0, 0, 0])
        counts[0] += 1
        counts[1] += len(said) == 1 and path.name in said[0]
        counts[2] += int(state.step) == before
        for name, content in whole.items():
            name.write_bytes(content)
    checkpoints.close()
    return found


def report(kills, stops, spoiled, options) -> str:
    """The section of RESULTS.md."""
    command = f"python -m benchmarks.reliability --kills {options.kills} --stops {options.stops}"
    lines = [
        "## Nothing is lost", "",
        f"`{command} --damages {options.damages} --seed {options.seed}`, "
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"jax {jax.__version__}.",
        f"A small run of {STEPS} steps, saved every {SAVE_EVERY}, with two hooks; ended at a "
        f"random moment of its start or up to {MOST_STEPS} steps later, and started again until "
        "it is done.", "",
        "| ending | number | phase it met | runs finished and compared | not equal to the bit "
        "| other | seconds to end: median, most |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, (counts, phases, waits) in (("SIGKILL", kills), ("SIGTERM", stops)):
        met = ", ".join(f"{phase} {phases[phase]}" for phase in PHASES if phases[phase])
        wrong = {k: v for k, v in counts.items() if k.startswith("differs") and v}
        rest = ("endings", "runs to the end", *wrong)
        other = ", ".join(f"{k} {v}" for k, v in counts.items() if k not in rest)
        spread = f"{np.median(waits):.2f}, {max(waits):.2f}" if waits else "-"
        lines.append(
            f"| {name} | {counts['endings']} | {met} | {counts['runs to the end']} | "
            f"{', '.join(f'{k} {v}' for k, v in wrong.items()) or 0} | {other or '-'} | {spread} |"
        )
    lines += ["", "| damage to the newest step | cases | file named | step before used |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {kind} | {a} | {b} | {c} |" for kind, (a, b, c) in sorted(spoiled.items())]
    return "\n".join(lines) + "\n"


def write_section(path: pathlib.Path, text: str) -> None:
    """Puts a section in place of an older one of the same heading, or at the end."""
    heading, old = text.splitlines()[0], path.read_text(encoding="utf-8")
    before, found, after = old.partition(f"{heading}\n")
    if found:
        _, mark, rest = after.partition("\n## ")
        path.write_text(f"{before}{text}{mark}{rest}", encoding="utf-8")
    else:
        path.write_text(f"{old.rstrip()}\n\n{text}", encoding="utf-8")


def main() -> None:
    """Runs all three and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for part in ("kills", "stops", "reference"):
            (folder / part).mkdir()
        reference = folder / "reference" / "run"
        if status := ended(start(reference, Board()), 300.0):
            log = (reference.parent / "log.txt").read_text()
            raise RuntimeError(f"the run that is left alone ended with {status}:\n{log}")
        kills = endings(folder / "kills", reference, options.kills, True, moments)
        print(kills, flush=True)
        stops = endings(folder / "stops", reference, options.stops, False, moments)
        print(stops, flush=True)
        spoiled = in_fork(damages, reference, options.damages, options.seed)
        for part in ("kills", "stops"):
            if (log := folder / part / "log.txt").is_file():
                print("\n".join(log.read_text().splitlines()[-5:]))
    text = report(kills, stops, spoiled, options)
    print(text)
    write_section(pathlib.Path(__file__).parent / "RESULTS.md", text)


if __name__ == "__main__":
    main()
