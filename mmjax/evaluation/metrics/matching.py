"""Pairs of bounces and sounds: the optimal one-to-one matching within a window."""

import numpy as np

from mmjax.typing import Float, Int


def match(
    first: Float[np.ndarray, " N"], second: Float[np.ndarray, " M"], window: float
) -> Int[np.ndarray, "P 2"]:
    """As many pairs of times at most ``window`` apart as can be made, the closest such pairing.

    Returns:
      Index into ``first`` and index into ``second`` of each pair.
    """
    from scipy.optimize import linear_sum_assignment

    apart = np.abs(first[:, None] - second)
    # One more pair is worth more than any saving of distance.
    worth = np.where(apart <= window, 1 + min(len(first), len(second)) - apart / window, 0)
    pairs = np.stack(linear_sum_assignment(worth, maximize=True), axis=1)
    return pairs[apart[pairs[:, 0], pairs[:, 1]] <= window]


def f1(matched: int, first: int, second: int) -> float:
    """The harmonic mean of ``matched / first`` and ``matched / second``; 0 without a match."""
    return float(2 * matched / (first + second)) if matched else 0.0
