"""What a person sees of a run: averages between two lines, speed, and a bar."""

import math
import sys
import time
from collections.abc import Mapping

import jax
import tqdm

from mmjax.sharding.multihost import is_main


class Averages:
    """Adds up logged (sum, count) pairs until they are asked for."""

    def __init__(self):
        """Starts empty."""
        self._sums: dict[str, list[float]] = {}

    def add(self, logged: Mapping[str, tuple]) -> None:
        """Adds one step's pairs, already on the host; non-finite sums are left to ``bad_steps``."""
        for name, (total, count) in logged.items():
            entry = self._sums.setdefault(name, [0.0, 0.0])
            if math.isfinite(total):
                entry[0] += float(total)
                entry[1] += float(count)

    def take(self) -> dict[str, float]:
        """The means since the last call, of everything that was counted."""
        means = {name: total / count for name, (total, count) in self._sums.items() if count}
        self._sums = {}
        return means


class Progress:
    """A progress bar with loss, speed, time left and device memory."""

    def __init__(self, start: int, total: int, batch_size: int):
        """Begins at step ``start`` of ``total``."""
        interval = 0.1 if sys.stderr.isatty() else 10.0  # a log file wants fewer lines
        self._bar = tqdm.tqdm(
            total=total, initial=start, unit="step", dynamic_ncols=True, mininterval=interval,
            disable=not is_main(),
        )  # fmt: skip
        self._batch_size = batch_size
        self._last = (time.perf_counter(), start)

    def advance(self) -> None:
        """One step is done."""
        self._bar.update()

    def rates(self, step: int) -> dict[str, float]:
        """Steps and examples per second since the last call, and bytes in use where known."""
        now = time.perf_counter()
        elapsed, steps = now - self._last[0], step - self._last[1]
        self._last = (now, step)
        rate = steps / max(elapsed, 1e-9)
        rates = {"steps_per_second": rate, "examples_per_second": rate * self._batch_size}
        memory = jax.local_devices()[0].memory_stats()
        if memory and "bytes_in_use" in memory:
            rates["device_bytes_in_use"] = float(memory["bytes_in_use"])
        return rates

    def show(self, values: Mapping[str, float]) -> None:
        """Shows the loss, the example rate and the memory behind the bar."""
        shown = {
            k: f"{v:.4g}" for k, v in values.items() if k.startswith("loss/") and k.count("/") == 1
        }
        shown["examples/s"] = f"{values['examples_per_second']:.1f}"
        if "device_bytes_in_use" in values:
            shown["GiB"] = f"{values['device_bytes_in_use'] / 2**30:.1f}"
        self._bar.set_postfix(shown, refresh=False)

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        if is_main():
            self._bar.write(line)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.close()
