"""Fair side-by-side timing: one process per peer, in turns, ratios of neighbouring runs."""

import dataclasses
import importlib.metadata
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

THREADS = 2


class Peer(Protocol):
    """One implementation, made inside its own process; each task is a method without arguments."""

    def prepare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Builds everything from what earlier peers returned; returns arrays to compare."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """What one run of a task took, in seconds."""

    wall: float
    cpu: float


class Worker:
    """A peer in a process of its own, idle except when it is asked for something."""

    def __init__(self, make: Callable[..., Peer], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, make, arguments), daemon=True)
        self._process.start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()

    def ask(self, method: str, *arguments: Any) -> Any:
        """The method's result; RuntimeError with the peer's traceback if it fails."""
        self._pipe.send((method, arguments))
        failed, result = self._pipe.recv()
        if failed:
            raise RuntimeError(result)
        return result

    def time(self, task: str) -> Timing:
        """What one run of a task takes, measured in the process."""
        return self.ask("_time", task)

    def peak_megabytes(self) -> float:
        """The largest resident size of the process so far."""
        return self.ask("_peak")


def _serve(pipe, make: Callable[..., Peer], arguments: Sequence[Any]) -> None:
    import traceback

    try:
        peer = make(*arguments)
    except Exception:  # reported with the first request
        peer, failure = None, traceback.format_exc()
    while (request := pipe.recv()) is not None:
        method, values = request
        try:
            if peer is None:
                raise RuntimeError(failure)
            pipe.send((False, _answer(peer, method, values)))
        except Exception:
            pipe.send((True, traceback.format_exc()))


def _answer(peer: Peer, method: str, values: Sequence[Any]) -> Any:
    if method == "_time":
        wall, cpu = time.perf_counter(), time.process_time()
        getattr(peer, *values)()
        return Timing(time.perf_counter() - wall, time.process_time() - cpu)
    if method == "_peak":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return getattr(peer, method)(*values)


def alternate(
    workers: Mapping[str, Worker], task: str, rounds: int
) -> tuple[dict[str, float], dict[str, list[Timing]]]:
    """Seconds of each peer's first run (compilation included), then its timings, one a round.

    Each round starts with another peer, so that none always follows the same one.
    """
    first = {name: worker.time(task).wall for name, worker in workers.items()}
    timings: dict[str, list[Timing]] = {name: [] for name in workers}
    names = list(workers)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            timings[name].append(workers[name].time(task))
    return first, timings


def summarise(
    first: Mapping[str, float], timings: Mapping[str, Sequence[Timing]], ours: str
) -> dict[str, dict[str, Any]]:
    """Per peer: medians, and how many times longer than ``ours`` it took, round by round."""
    summary = {}
    for name, runs in timings.items():
        ratios = [run.wall / own.wall for run, own in zip(runs, timings[ours], strict=True)]
        summary[name] = {
            "wall_s": statistics.median(run.wall for run in runs),
            "cpu_s": statistics.median(run.cpu for run in runs),
            "first_s": first[name],
            "ratio": {
                "median": statistics.median(ratios), "min": min(ratios), "max": max(ratios),
            },
        }  # fmt: skip
    return summary


def table(summaries: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Markdown: one row per task and peer; a ratio above 1 means that mmjax was faster."""
    lines = [
        "| task | peer | wall s | CPU s | first run s | peer / mmjax: median (min to max) |",
        "|---|---|---|---|---|---|",
    ]
    for task, summary in summaries.items():
        for name, row in summary.items():
            ratio = row["ratio"]
            lines.append(
                f"| {task} | {name} | {row['wall_s']:.3f} | {row['cpu_s']:.3f} "
                f"| {row['first_s']:.1f} "
                f"| {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) |"
            )
    return "\n".join(lines)


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """The machine, how busy it was, and versions."""
    with open("/proc/cpuinfo") as file:
        model = next((line for line in file if line.startswith("model name")), ": unknown")
    return {
        "cpu": model.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }
