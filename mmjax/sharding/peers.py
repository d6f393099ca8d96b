"""What the processes of a run tell each other beside the training: stop, failed, still here."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

_TICK = 1.0  # seconds between two looks at what the others say
_PREFIX = "mmjax/"
LOST = 75  # exit code: not this process's fault, worth another start (EX_TEMPFAIL)


class Peers:
    """A thread that keeps in touch with the other processes through JAX's coordination service.

    * Process 0 notices a process that has not been heard of for ``patience`` seconds, and tells.
    * A process that fails says why; the others then end with its reason in place of waiting in a
      collective for ever.
    * A request to stop on one process becomes a step at which all of them stop: all count their
      calls of :meth:`stop_now`, and when a request is out, everyone says how far it has counted
      and counts no further before all have; the stop is one past the furthest. The calls
      themselves cost a lock that nobody else holds.
    """

    def __init__(self, client: Any, process: int, processes: int, patience: float):
        """Begins to listen.

        Args:
          client: of JAX's coordination service.
          process: number of this process, of ``processes``.
          processes: how many there are.
          patience: seconds without a sign of life after which a process is lost.
        """
        self._client, self._patience = client, patience
        self._process, self._processes = process, processes
        self._heard: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._calls, self._stop_at = 0, None
        self._wants_stop = self._told_stop = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="peers", daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Asks all processes to stop; safe in a signal handler."""
        self._wants_stop = True

    def stop_now(self) -> bool:
        """Whether all stop here; to be called equally often on every process."""
        with self._lock:
            self._calls += 1
            return self._stop_at is not None and self._calls >= self._stop_at

    def fail(self, reason: str) -> None:
        """Tells the others that this process ends, and why; waits for no answer."""
        telling = threading.Thread(target=self._tell, args=("failed", reason), daemon=True)
        telling.start()
        telling.join(5.0)
        if self._process == 0:
            time.sleep(3 * _TICK)  # its end takes the service away, through which they hear it

    def blame(self, seconds: float) -> None:
        """Waits for news of a process that was lost or has failed, which then end this one."""
        self._thread.join(seconds)

    def close(self) -> None:
        """Listens no more."""
        self._closed.set()
        self._thread.join()

    def _listen(self) -> None:
        beats = 0
        while not self._closed.wait(_TICK):
            beats += 1
            try:
                self._tell("alive", str(beats))
                if self._wants_stop and not self._told_stop:
                    self._told_stop = True
                    self._tell("stop", "")
                self._hear(self._said())
            except Exception as error:  # the client raises only that the service is out of reach
                if not self._closed.is_set():
                    self._leave(0, f"does not answer ({str(error).splitlines()[0][:200]})")

    def _said(self) -> dict[str, str]:
        """What was said by whom, such as ``alive/3`` and how often."""
        found = self._client.key_value_dir_get(f"{_PREFIX}said/")
        return {key.removeprefix(f"{_PREFIX}said/"): value for key, value in found}

    def _tell(self, what: str, value: str) -> None:
        key = f"{_PREFIX}said/{what}/{self._process}"
        self._client.key_value_set(key, value, allow_overwrite=True)

    def _hear(self, said: dict[str, str]) -> None:
        for key, value in sorted(said.items()):
            what, _, who = key.partition("/")
            if what in ("failed", "lost") and int(who) != self._process:
                self._leave(int(who), value)
        if any(key.startswith("stop/") for key in said) and self._stop_at is None:
            self._agree()
        if self._process == 0:
            self._count_heads(said)

    def _agree(self) -> None:
        with self._lock:
            self._tell("calls", str(self._calls))
            deadline = time.monotonic() + self._patience
            while True:
                said = self._said()
                calls = [int(v) for key, v in said.items() if key.startswith("calls/")]
                if len(calls) == self._processes:
                    self._stop_at = max(calls) + 1
                    return
                if time.monotonic() > deadline:
                    missing = set(map(str, range(self._processes)))
                    missing -= {key.removeprefix("calls/") for key in said}
                    self._leave(int(min(missing, key=int)), "did not agree when to stop")
                time.sleep(0.05)

    def _count_heads(self, said: dict[str, str]) -> None:
        now = time.monotonic()
        for who in map(str, range(1, self._processes)):
            sign = said.get(f"alive/{who}", "")
            last, since = self._heard.get(who, (None, now))
            if sign != last:
                self._heard[who] = (sign, now)
            elif now - since > self._patience:
                reason = f"was lost: nothing heard of it for {self._patience:g} s"
                self._client.key_value_set(f"{_PREFIX}said/lost/{who}", reason, True)
                self._leave(int(who), reason)

    def _leave(self, who: int, reason: str) -> None:
        line = f"process {self._process} of {self._processes}: process {who} {reason}"
        leave(f"mmjax: {line}; this one ends too", LOST)


def explain_abort(coordinator: str, process: int, processes: int) -> None:
    """Has this process say that the coordinator is lost, should JAX abort it for that reason.

    The service ends with process 0, and JAX's native code then aborts all others within
    milliseconds, on a thread of its own, so that nothing but a handler of the abort can say why.

    Args:
      coordinator: ``HOST:PORT`` of the service.
      process: number of this process, of ``processes``.
      processes: how many there are.
    """

    def handle(number):
        host, _, port = coordinator.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2.0).close()
        except OSError:
            line = f"process 0 was lost: nothing answers at {coordinator}"
            leave(f"mmjax: process {process} of {processes}: {line}; this one ends too", LOST)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)
    _kept.append(handler)  # as long as the process lives: native code points to it
    ctypes.CDLL(None).signal(signal.SIGABRT, handler)


_kept: list[object] = []


def leave(line: str, code: int) -> None:
    """Ends this process at once, whatever its threads are doing, with one last line."""
    import multiprocessing

    print(f"\n{line}", file=sys.stderr, flush=True)
    for child in multiprocessing.active_children():  # readers of data, who would wait for ever
        child.kill()
    sys.stdout.flush()
    os._exit(code)
