"""What watches over a run from outside the loop: limits on waits, requests to stop, other hosts."""

import contextlib
import signal
from collections.abc import Iterator

from mmjax.sharding.peers import Peers
from mmjax.training.interrupt import Interrupt
from mmjax.training.waits import Waits


@contextlib.contextmanager
def watched(
    wait_limit: float | int,
    phase_limit: float | int,
    others: contextlib.AbstractContextManager[Peers | None],
) -> Iterator[tuple[Waits, Interrupt]]:
    """Joins the other processes and watches until the run, stages included, is over.

    Args:
      wait_limit: see :class:`mmjax.training.system.Train`, like the next.
      phase_limit: seconds.
      others: what :func:`mmjax.sharding.multihost.joined` returns, not entered yet.

    Yields:
      Names and limits of everything that may hang, and whether the run was asked to stop.
    """
    with contextlib.ExitStack() as stack:
        waits = stack.enter_context(Waits(wait_limit, phase_limit))
        interrupt = Interrupt()
        stack.callback(_only_leaves, interrupt)
        stack.enter_context(interrupt)
        with waits("start"):
            waits.peers = stack.enter_context(others)
        if waits.peers is not None:
            waits.peers.watch(lambda: waits.phase)
            interrupt.join(waits.peers)
        yield waits, interrupt


def _only_leaves(interrupt: Interrupt) -> None:
    """Some schedulers ask again, while a run that has stopped and is saved leaves with code 0."""
    if interrupt.noted:
        signal.signal(signal.SIGTERM, lambda number, frame: None)
