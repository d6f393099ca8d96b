"""A request to stop, such as a preemption notice: noted at once, honoured between steps."""

import signal
import threading


class Interrupt:
    """While open, SIGTERM and SIGINT set a flag; a second SIGINT interrupts as usual."""

    def __init__(self):
        """Nothing is caught yet."""
        self.requested = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        """Catches the signals; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *unused) -> None:
        """Restores the former handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number, frame) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
