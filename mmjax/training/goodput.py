"""Where a run's time goes: every second in one bucket, over all of its processes and restarts.

``goodput.jsonl`` in the run's folder has a line with the seconds in each bucket since the run was
begun, written with every row of metrics and at least every ten seconds. Unlike the metrics it is
never cut back: a process that starts where another one was killed reads from it what was lost.
"""

import collections
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping

import numpy as np

from mmjax.files import write_text
from mmjax.sharding.multihost import is_main
from mmjax.training.compiles import Compiles
from mmjax.training.writers import read_metrics

FILE = "goodput.jsonl"
# What each second of a run is:
#   init        of the first process, until its first step is called
#   compile     of the first process, its first step, which is compiled; later, all compiling
#   data        waiting for a batch while the device has nothing to do
#   step        the device takes steps, or waits for what the loop does between them
#   checkpoint  until a save has its copy of the state, or the last one is on disk
#   evaluation  hooks: previews, held-out losses, metrics
#   lost        any of the four above after the checkpoint that a run went back to
#   recovery    of a process that goes on with a run, until its first step is done
#   down        no process, or one that never came to a first step; not held against goodput
BUCKETS = (
    "init", "compile", "data", "step", "checkpoint", "evaluation", "lost", "recovery", "down",
)  # fmt: skip
_WORK = ("data", "step", "checkpoint", "evaluation")
_PHASES = {
    "data": "data", "save": "checkpoint", "restore": "recovery", "compile": "compile",
    "evaluate": "evaluation", "preview": "evaluation",
}  # fmt: skip
_PATIENCE = 10.0  # seconds between two lines
_STEPS = 1000  # steps that the median and the percentile are of


class Ledger:
    """Keeps the time of one process of a run; :meth:`enter` observes its waits.

    Nothing here waits for a device: a step's time is taken when its metrics have arrived.

    Attributes:
      busy: says whether the device still has a step to do, while which no data are waited for.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        since: float | None = None,
        shortest_step: float | None = None,
    ):
        """Begins to count.

        Args:
          folder: of the run.
          since: begin of the process, by ``time.monotonic``; by default now.
          shortest_step: seconds of a step at the devices' peak, where that is known; over the
            median of the steps taken it is the model FLOPs utilisation.
        """
        self.busy: Callable[[], bool] = lambda: False
        self._path, self._compiles = folder / FILE, Compiles()
        self._shortest = shortest_step
        self._last = time.monotonic() if since is None else since
        self._totals = dict.fromkeys(BUCKETS, 0.0)
        if lines := read_metrics(self._path):
            self._totals |= lines[-1]["seconds"]
            begun = time.time() - (time.monotonic() - self._last)
            self._totals["down"] += max(0.0, begun - lines[-1]["at"])
            if is_main():  # the last line may have been cut short
                write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))
        self._start = "recovery" if lines else "init"
        self._starting, self._bucket, self._compiled = True, self._start, 0.0
        self._step, self._written, self._arrived = 0, -math.inf, 0.0
        self._times: collections.deque[float] = collections.deque(maxlen=_STEPS)

    def enter(self, phase: str) -> None:
        """The process goes over to another phase of work; "" is none with a name."""
        self._count()
        self._bucket = _PHASES.get(phase, "step")
        if self._starting and self._bucket != "evaluation":
            compiling = self._bucket == "compile" and self._start == "init"
            self._bucket = "compile" if compiling else self._start

    def take_up(self, step: int) -> None:
        """The run goes on from ``step``: the work done past it is lost."""
        self._count()
        if not self._starting:
            self._write()
        lines = read_metrics(self._path)
        at_step = (line["seconds"] for line in reversed(lines) if line["step"] <= step)
        before = next(at_step, dict.fromkeys(BUCKETS, 0.0))
        for bucket in _WORK:
            lost = self._totals[bucket] - before[bucket]
            self._totals[bucket] -= lost
            self._totals["lost"] += lost
        self._step, self._arrived = step, self._totals["step"]

    def arrived(self, step: int) -> None:
        """The metrics of ``step`` are here."""
        self._count()
        if self._starting:
            self._starting = False
            self.enter("")
        else:
            self._times.append(self._totals["step"] - self._arrived)
        self._step, self._arrived = step, self._totals["step"]
        if self._last - self._written > _PATIENCE:
            self._write()

    def row(self) -> dict[str, float]:
        """What a row of metrics says: goodput, seconds in each bucket, of a step, compiles, MFU."""
        self._count()
        self._write()
        found = {"share": goodput(self._totals), "compiles": self._compiles.of("step")}
        found |= {f"{bucket}_seconds": seconds for bucket, seconds in self._totals.items()}
        if self._times:
            median, high = np.percentile(self._times, [50, 95])
            found |= {"median_step_seconds": float(median), "p95_step_seconds": float(high)}
            if self._shortest is not None:
                found["mfu"] = self._shortest / float(median)
        return {f"goodput/{name}": value for name, value in found.items()}

    def close(self) -> None:
        """Writes the last line."""
        self._count()
        if not self._starting:
            self._write()

    def _count(self) -> None:
        """Adds the time since the last call to the bucket that it belongs to."""
        now, compiled = time.monotonic(), self._compiles.seconds
        passed, self._last = now - self._last, now
        if self._bucket == "step":  # a batch of another shape
            compiling = min(passed, compiled - self._compiled)
            self._totals["compile"] += compiling
            passed -= compiling
        self._compiled = compiled
        hidden = self._bucket == "data" and self.busy()
        self._totals["step" if hidden else self._bucket] += passed

    def _write(self) -> None:
        self._written = self._last
        if is_main():
            line = {"step": self._step, "at": time.time(), "seconds": self._totals}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def goodput(seconds: Mapping[str, float]) -> float:
    """The share of steps that count in the time that the run had machines."""
    held = math.fsum(seconds[bucket] for bucket in BUCKETS) - seconds["down"]
    return seconds["step"] / max(held, 1e-9)


def process_start() -> float:
    """When this process began, by ``time.monotonic``; now where the system does not tell."""
    now = time.monotonic()
    try:
        fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return now
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # since the machine was booted
    return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - began)
