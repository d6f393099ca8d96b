"""Every wait has a name and a limit; one that passes it ends the process and says which."""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable

from mmjax.sharding.multihost import whoami
from mmjax.sharding.peers import LOST, Peers, leave

_GRACE = 10.0  # seconds that a last word may take before the process ends without one


class Waits:
    """Watches over the waits of a process: ``with waits("data"): batch = next(batches)``.

    Entering and leaving costs about a microsecond; a thread looks at the clock. A wait that
    lasts longer than its limit is taken to be a hang: the thread prints the process and the name
    of the wait, and the stack of every thread, and ends the process with exit code 75. That
    happens within a second of the limit, or within ``limit + 30`` seconds where compiled code
    holds the interpreter's lock.

    Attributes:
      peers: the other processes, who are told before this one ends; None where there are none.
      observe: called with :attr:`phase` whenever that changes, such as by a ledger of the time.
    """

    def __init__(self, limit: float | int, phase_limit: float | int):
        """Begins to watch.

        Args:
          limit: seconds that a wait may take.
          phase_limit: seconds for a long phase of work, such as compiling or an evaluation.
        """
        self.peers: Peers | None = None
        self.observe: Callable[[str], object] | None = None
        self._limits = {False: limit, True: phase_limit}
        self._open: list[_Wait] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="waits", daemon=True)
        self._thread.start()

    def __call__(self, name: str, *, phase: bool = False) -> "_Wait":
        """A context that is a wait of this name; waits may lie in each other."""
        return _Wait(self, name, self._limits[phase])

    def __enter__(self) -> "Waits":
        """Nothing more."""
        return self

    def __exit__(self, *unused) -> None:
        """Watches no more."""
        self._closed.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    @property
    def phase(self) -> str:
        """The name of the innermost wait that this process is in; empty outside of all."""
        return "".join(wait.name for wait in self._open[-1:])

    def _change(self) -> None:
        if self.observe is not None:
            self.observe(self.phase)

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._limits[False] / 4)):
            now = time.monotonic()
            waits = sorted(self._open.copy(), key=lambda wait: wait.deadline)
            if waits and waits[0].deadline < now:
                self._end(waits[0])
            # Should this thread never get its turn again, the C library ends the process.
            left = min([self._limits[False], *(wait.deadline - now for wait in waits[:1])])
            faulthandler.dump_traceback_later(left + _GRACE, exit=True, file=sys.__stderr__)

    def _end(self, wait: "_Wait") -> None:
        process, processes = whoami()
        reason = f"{wait.name!r} did not end within {wait.limit:g} s"
        faulthandler.dump_traceback_later(_GRACE, exit=True, file=sys.__stderr__)
        faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
        if self.peers is not None:
            reason += self.peers.elsewhere()
            self.peers.fail(f"hangs: {reason}", LOST)
        leave(f"mmjax: process {process} of {processes}: {reason}; the run ends here", LOST)


class _Wait:
    """One wait, on the list of those that are open while it lasts."""

    __slots__ = ("_waits", "name", "limit", "deadline")

    def __init__(self, waits: Waits, name: str, limit: float | int):
        self._waits, self.name, self.limit = waits, name, limit

    def __enter__(self) -> None:
        self.deadline = time.monotonic() + self.limit
        self._waits._open.append(self)
        self._waits._change()

    def __exit__(self, *unused) -> None:
        self._waits._open.remove(self)
        self._waits._change()
