"""A path as few parabolas: the optimal partition of its frames, clip by clip."""

import functools

import numpy as np

from mmjax.typing import Bool, Float

SHORTEST = 3  # frames; bounces closer together than this cannot be seen as separate


@functools.cache
def _residual_operator(length: int) -> np.ndarray:
    """The projection ``[length, length]`` onto what the best parabola leaves unexplained."""
    basis = np.vander(np.arange(length, dtype=np.float64), 3)
    orthonormal, _ = np.linalg.qr(basis)
    return np.eye(length) - orthonormal @ orthonormal.T


def unexplained(path: Float[np.ndarray, "B T"]) -> Float[np.ndarray, "B T T"]:
    """Square error of the best parabola over frames ``i`` to ``j`` inclusive, at ``[:, i, j]``.

    Infinite where the stretch is shorter than ``SHORTEST`` frames.
    """
    batch, frames = path.shape
    errors = np.full((batch, frames, frames), np.inf)
    for length in range(SHORTEST, frames + 1):
        windows = np.lib.stride_tricks.sliding_window_view(path, length, axis=1)
        square = np.square(windows @ _residual_operator(length)).sum(axis=-1)
        first = np.arange(frames - length + 1)
        errors[:, first, first + length - 1] = square
    return errors


def partition(errors: Float[np.ndarray, "B T T"], price: float) -> Bool[np.ndarray, "B T"]:
    """Which frames begin a new parabola when each parabola costs ``price`` in square error.

    Minimises the sum of all errors and prices exactly, by dynamic programming over the last frame
    (optimal partitioning; Jackson et al. 2005, equation 2).
    """
    batch, frames, _ = errors.shape
    best = np.full((batch, frames + 1), np.inf)
    best[:, 0] = 0
    previous = np.zeros((batch, frames + 1), int)
    for last in range(frames):
        totals = best[:, : last + 1] + errors[:, : last + 1, last] + price
        previous[:, last + 1] = totals.argmin(axis=1)
        best[:, last + 1] = totals.min(axis=1)
    begins = np.zeros((batch, frames), bool)
    rows, at = np.arange(batch), np.full(batch, frames)
    while at.any():
        at = np.where(at > 0, previous[rows, at], 0)
        begins[rows, at] = True
    return begins


def fit(path: Float[np.ndarray, " T"], first: int, last: int) -> Float[np.ndarray, " 3"]:
    """Coefficients (highest power first, in frames) of the best parabola over ``first..last``."""
    frames = np.arange(first, last + 1)
    return np.polyfit(frames, path[frames], 2)
