"""What the processes of a run tell each other beside the training: stop, failed, still here."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_TICK = 1.0  # seconds between two looks at what the others say
_SAID, _ALIVE = "mmjax/said/", "mmjax/alive/"
_MOST_NAMED = 8
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

    def __init__(self, client: Any, process: int, processes: int, patience: float | int):
        """Begins to listen.

        Args:
          client: of JAX's coordination service.
          process: number of this process, of ``processes``.
          processes: how many there are.
          patience: seconds without a sign of life after which a process is lost.
        """
        self._client, self._patience = client, patience
        self._process, self._processes = process, processes
        self._phase: Callable[[], str] = str
        self._heard: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._calls, self._stop_at = 0, None
        self._wants_stop = self._told_stop = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="peers", daemon=True)
        self._thread.start()

    def watch(self, phase: Callable[[], str]) -> None:
        """Lets the others know what this process is doing: a word that ``phase`` returns."""
        self._phase = phase

    def request_stop(self) -> None:
        """Asks all processes to stop; safe in a signal handler."""
        self._wants_stop = True

    def stop_now(self) -> bool:
        """Whether all stop here; to be called equally often on every process."""
        with self._lock:
            self._calls += 1
            return self._stop_at is not None and self._calls >= self._stop_at

    def fail(self, reason: str, code: int) -> None:
        """Tells the others that this process ends, why, and with which exit code, as they will."""
        say = ("failed", f"{code} {reason}")
        telling = threading.Thread(target=self._tell, args=say, daemon=True)
        telling.start()
        telling.join(5.0)
        self._linger()

    def blame(self, seconds: float | int) -> None:
        """Waits for news of a process that was lost or has failed, which then end this one."""
        self._thread.join(seconds)

    def elsewhere(self) -> str:
        """What others were last heard to be doing, where this process does something else."""
        found = []
        asking = threading.Thread(target=lambda: found.extend(self._read(_ALIVE)), daemon=True)
        asking.start()
        asking.join(5.0)
        words = {int(who): sign.partition(" ")[2] for who, sign in found}
        others = [f"; process {who} is{_inside(words[who])}" for who in sorted(words)
                  if words[who] not in ("", self._phase())]  # fmt: skip
        return "".join(others[:_MOST_NAMED])

    def close(self) -> None:
        """Listens no more."""
        self._closed.set()
        self._thread.join()

    def leave(self, who: int, reason: str, code: int = LOST) -> None:
        """Ends this process because of another one."""
        self._linger()
        place = f"process {self._process} of {self._processes}{_inside(self._phase())}"
        leave(f"mmjax: {place}: process {who} {reason}; this one ends too", code)

    def _linger(self) -> None:
        if self._process == 0:
            time.sleep(3 * _TICK)  # its end takes the service away, through which others hear why

    def _listen(self) -> None:
        beats = 0
        while not self._closed.wait(_TICK):
            beats += 1
            try:
                sign = f"{beats} {self._phase()}"
                self._client.key_value_set(f"{_ALIVE}{self._process}", sign, allow_overwrite=True)
                if self._wants_stop and not self._told_stop:
                    self._told_stop = True
                    self._tell("stop", "")
                self._hear(self._said())
                if self._process == 0:
                    self._count_heads()
            except Exception as error:  # the client raises only that the service is out of reach
                if not self._closed.is_set():
                    reason = str(error).splitlines()[0][:200]
                    self.leave(0, f"was lost: it does not answer ({reason})")

    def _read(self, folder: str) -> list[tuple[str, str]]:
        found = self._client.key_value_dir_get(folder)
        return [(key.removeprefix(folder), value) for key, value in found]

    def _said(self) -> dict[str, str]:
        """What was said by whom, such as ``calls/3`` and how many."""
        return dict(self._read(_SAID))

    def _tell(self, what: str, value: str) -> None:
        key = f"{_SAID}{what}/{self._process}"
        self._client.key_value_set(key, value, allow_overwrite=True)

    def _hear(self, said: dict[str, str]) -> None:
        for key, value in sorted(said.items()):
            what, _, who = key.partition("/")
            if what in ("failed", "lost") and int(who) != self._process:
                code, _, reason = value.partition(" ")
                self.leave(int(who), reason, int(code))
        if any(key.startswith("stop/") for key in said) and self._stop_at is None:
            self._agree()

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
                    self.leave(int(min(missing, key=int)), "did not agree when to stop")
                time.sleep(0.05)

    def _count_heads(self) -> None:
        """Process 0 alone: whoever has given no sign for too long is lost, and all are told."""
        now, signs = time.monotonic(), dict(self._read(_ALIVE))
        for who in map(str, range(1, self._processes)):
            sign = signs.get(who, "")
            last, since = self._heard.get(who, (None, now))
            if sign != last:
                self._heard[who] = (sign, now)
            elif now - since > self._patience:
                place = _inside(sign.partition(" ")[2])
                reason = f"was lost{place}: nothing heard of it for {self._patience:g} s"
                self._client.key_value_set(f"{_SAID}lost/{who}", f"{LOST} {reason}", True)
                self.leave(int(who), reason)


def _inside(phase: str) -> str:
    return f" in {phase!r}" if phase else ""


def explain_abort(coordinator: str, peers: Peers) -> None:
    """Has this process say that the coordinator is lost, should JAX abort it for that reason.

    The service ends with process 0, and JAX's native code then aborts all others within
    milliseconds, on a thread of its own, so that nothing but a handler of the abort can say why.

    Args:
      coordinator: ``HOST:PORT`` of the service.
      peers: of this process, which is not the first.
    """

    def handle(number):
        host, _, port = coordinator.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2.0).close()
        except OSError:
            peers.leave(0, f"was lost: nothing answers at {coordinator}")

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
