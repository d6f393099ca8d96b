"""What XLA compiles, counted: the step once for each stage and each shape of a batch, or time is
lost where nobody looks.
"""

import collections
import functools

import jax

_EVENT = "/jax/core/compile/backend_compile_duration"
_counts: collections.Counter[str] = collections.Counter()  # of this process, by function
_seconds = [0.0]


class Compiles:
    """What was compiled since this was made, or found in JAX's cache on disk."""

    def __init__(self):
        _listen()
        self._counts, self._seconds = _counts.copy(), _seconds[0]

    def of(self, function: str) -> int:
        """How often the function of this name was compiled."""
        return _counts[function] - self._counts[function]

    @property
    def seconds(self) -> float:
        """How long everything took that was compiled."""
        return _seconds[0] - self._seconds


@functools.cache  # JAX keeps its listeners as long as the process lives
def _listen() -> None:
    def count(event: str, seconds: float, fun_name: str = "", **_: object) -> None:
        if event == _EVENT:
            _counts[fun_name.removeprefix("jit_").removeprefix("jit(").removesuffix(")")] += 1
            _seconds[0] += seconds

    jax.monitoring.register_event_duration_secs_listener(count)
