"""Steps that were withheld because something was not finite: named, counted, and left behind."""

from collections.abc import Callable, Mapping

import numpy as np

from mmjax.errors import UserError


class BadSteps:
    """Watches what steps log, and says when it is time to go back.

    A step that is not finite has left the state as it was. When several in a row are, the state
    itself may be at fault: the run goes back to an older one and on with other data. Should it
    come no further than before in ``rollbacks`` attempts, it ends.
    """

    def __init__(self, most: int, rollbacks: int, say: Callable[[str], object]):
        """Begins to watch.

        Args:
          most: bad steps in a row after which to go back.
          rollbacks: how often without getting any further.
          say: is given a line for every bad step.
        """
        self.in_a_row = 0
        self._most, self._rollbacks, self._say = most, rollbacks, say
        self._furthest, self._tries = 0, 0

    def look(self, step: int, logged: Mapping[str, tuple]) -> bool:
        """Takes in what ``step`` has logged; whether to go back.

        Raises:
          UserError: going back has not helped; the message names the step and the term.
        """
        self.in_a_row = int(logged["bad_steps_in_a_row"][0])
        if not self.in_a_row:
            if step > self._furthest:
                self._tries = 0
            return False
        cause = _cause(logged)
        self._say(f"step {step}: {cause} is not finite; the step is withheld")
        if self.in_a_row < self._most:
            return False
        self._furthest, self._tries = max(step, self._furthest), self._tries + 1
        if self._tries > self._rollbacks:
            raise UserError(
                f"step {step}: {cause} was not finite for {self.in_a_row} steps in a row, and "
                f"going back {self._rollbacks} times has not helped; every checkpoint is finite"
            )
        self.in_a_row = 0
        return True


def _cause(logged: Mapping[str, tuple]) -> str:
    # A gradient can overflow where its term is still finite, so terms are named first.
    bad = sorted(
        (name for name, (total, _) in logged.items() if not np.isfinite(total)),
        key=lambda name: (not name.startswith("loss/"), name.count("/"), name),
    )
    return bad[0] if bad else "a gradient or a part of the new state"
