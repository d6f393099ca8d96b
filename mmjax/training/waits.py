"""Every wait has a name and a limit; one that passes it ends the process and says which."""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable

from mmjax.sharding.multihost import whoami
from mmjax.sharding.peers import LOST, leave

_GRACE = 15.0  # seconds that a last word may take before the process ends without one


class Waits:
    """Watches over the waits of a process: ``with waits("data"): batch = next(batches)``.

    Entering and leaving costs about a microsecond; a thread looks at the clock. A wait that
    lasts longer than its limit is taken to be a hang: the thread prints the process and the name
    of the wait, and the stack of every thread, and ends the process with exit code 75. That
    happens within a second of the limit, or within ``limit + 30`` seconds where compiled code
    holds the interpreter's lock.
    """

    def __init__(
        self,
        limit: float,
        phase_limit: float,
        *,
        tell: Callable[[str], None] | None = None,
    ):
        """Begins to watch.

        Args:
          limit: seconds that a wait may take.
          phase_limit: seconds for a long phase of work, such as compiling or an evaluation.
          tell: is given the reason before the process ends, such as ``Peers.fail``.
        """
        self._limits = {False: limit, True: phase_limit}
        self._tell = tell
        self._open: list[_Wait] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="waits", daemon=True)
        self._thread.start()

    def __call__(self, name: str, *, phase: bool = False) -> "_Wait":
        """A context that is a wait of this name."""
        return _Wait(self._open, name, self._limits[phase])

    def close(self) -> None:
        """Watches no more."""
        self._closed.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._limits[False] / 4)):
            now = time.monotonic()
            waits = sorted(self._open.copy(), key=lambda wait: wait.deadline)
            if waits and waits[0].deadline < now:
                self._end(waits[0])
            # Should this thread never get its turn again, the C library ends the process.
            left = waits[0].deadline - now if waits else max(self._limits.values())
            faulthandler.dump_traceback_later(left + _GRACE, exit=True, file=sys.__stderr__)

    def _end(self, wait: "_Wait") -> None:
        process, processes = whoami()
        reason = f"{wait.name!r} did not end within {wait.limit:g} s"
        faulthandler.dump_traceback_later(_GRACE, exit=True, file=sys.__stderr__)
        faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
        if self._tell is not None:
            self._tell(f"hangs: {reason}")
        leave(f"mmjax: process {process} of {processes}: {reason}; the run ends here", LOST)


class _Wait:
    """One wait, on the list of those that are open while it lasts."""

    __slots__ = ("_open", "name", "limit", "deadline")

    def __init__(self, waits: list["_Wait"], name: str, limit: float):
        self._open, self.name, self.limit = waits, name, limit

    def __enter__(self) -> None:
        self.deadline = time.monotonic() + self.limit
        self._open.append(self)

    def __exit__(self, *unused) -> None:
        self._open.remove(self)
