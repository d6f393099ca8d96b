"""A request to stop, such as a preemption notice: noted at once, honoured between steps."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from mmjax.sharding.peers import Peers

_MOMENT = 0.05  # seconds in which Python comes back from where it ignores what is raised


class Interrupt:
    """While open, SIGTERM and SIGINT ask the run to stop; a second SIGINT interrupts as usual.

    With other processes (:meth:`join`), a request to one of them stops all, at the same step.
    """

    def __init__(self):
        """Nothing is caught yet."""
        self._peers: Peers | None = None
        self._noted = self._abandons = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        """Catches the signals; only the main thread may."""
        self._previous = self._catch()
        return self

    def __exit__(self, *unused) -> None:
        """Restores the former handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def join(self, peers: Peers) -> None:
        """From now on a request to one process stops all; one that came before does too."""
        self._peers = peers
        self._catch()  # JAX has put its own handler in place while it joined the processes
        if self._noted:
            peers.request_stop()

    @property
    def noted(self) -> bool:
        """Whether this process itself was asked."""
        return self._noted

    @property
    def requested(self) -> bool:
        """Whether to stop here and now; to be asked equally often on every process."""
        return self._noted if self._peers is None else self._peers.stop_now()

    def until_requested(self, work: Callable[[], object]) -> bool:
        """Does ``work`` that may be left half done; whether it came to its end.

        A request ends it at once. With other processes it is done to the end, for these may wait
        for its results.
        """
        if self._noted and self._peers is None:
            return False
        with self._insisting():
            try:
                self._abandons = self._peers is None
                work()
                self._abandons = False
            except _Abandoned:
                return False
            finally:
                self._abandons = False
        return True

    @contextlib.contextmanager
    def _insisting(self) -> Iterator[None]:
        """Sends the signal again where it came while Python was in a finaliser.

        What is raised there, such as in JAX's hook of the garbage collector, is only reported.
        """
        report, timers = sys.unraisablehook, []

        def again(ignored):
            if ignored.exc_type is not _Abandoned:
                report(ignored)
                return
            self._abandons = True
            main = threading.main_thread().ident
            timers.append(threading.Timer(_MOMENT, signal.pthread_kill, (main, signal.SIGTERM)))
            timers[-1].start()

        sys.unraisablehook = again
        try:
            yield
        finally:
            sys.unraisablehook = report
            for timer in timers:
                timer.cancel()
                timer.join()

    def _catch(self) -> dict[int, object]:
        """Has the signals noted; returns what was done with them before."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number, frame) -> None:
        if self._noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = True
        if self._peers is not None:
            self._peers.request_stop()
        if self._abandons:
            self._abandons = False
            raise _Abandoned


class _Abandoned(BaseException):
    """Ends work that may be left half done."""
