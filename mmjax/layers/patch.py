"""Patches of grids in any number of dimensions, and streams on the grid of their patches."""

import math

import jax
import jax.numpy as jnp

from mmjax.streams import Stream
from mmjax.typing import Array


def patchify(x: Array, patch: tuple[int, ...]) -> Array:
    """``[B, *grid, C]`` to ``[B, *counts, prod(patch) * C]``, a feature for each cell and channel.

    Raises ValueError when the patch does not divide the grid.
    """
    batch, *grid, channels = x.shape
    if len(grid) != len(patch) or any(g % p for g, p in zip(grid, patch, strict=True)):
        raise ValueError(f"patch {patch} does not divide the grid {tuple(grid)}")
    if math.prod(patch) == 1:
        return x
    counts = [g // p for g, p in zip(grid, patch, strict=True)]
    split = [n for pair in zip(counts, patch, strict=True) for n in pair]
    x = x.reshape(batch, *split, channels)
    rank = len(grid)
    x = x.transpose(0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1)
    return x.reshape(batch, *counts, math.prod(patch) * channels)


def unpatchify(x: Array, patch: tuple[int, ...]) -> Array:
    """The inverse of :func:`patchify`: ``[B, *counts, prod(patch) * C]`` to ``[B, *grid, C]``."""
    batch, *counts, features = x.shape
    channels, rest = divmod(features, math.prod(patch))
    if len(counts) != len(patch) or rest:
        raise ValueError(f"{features} features do not fill the patch {patch}")
    if math.prod(patch) == 1:
        return x
    rank = len(counts)
    x = x.reshape(batch, *counts, *patch, channels)
    x = x.transpose(0, *[a for i in range(rank) for a in (1 + i, 1 + rank + i)], 2 * rank + 1)
    return x.reshape(batch, *(n * p for n, p in zip(counts, patch, strict=True)), channels)


def patch_stream(stream: Stream, patch: tuple[int, ...], *, discrete: bool) -> Stream:
    """``stream`` on the grid of its patches: values ``[B, *counts, prod(patch) * C]``.

    Positions and times are the means of their cells, a patch has content if any cell has, and takes
    the largest segment of its cells. Discrete values become ``[B, *counts, prod(patch)]``.
    """

    def cells(x: jax.Array) -> jax.Array:
        return patchify(x[..., None], patch)

    time = stream.time
    if time.ndim > 1:  # axes of length 1 do not vary, so nothing is cut there
        varying = tuple(p if n > 1 else 1 for p, n in zip(patch, time.shape[1:], strict=True))
        time = patchify(time[..., None], varying).mean(axis=-1)
    positions = patchify(stream.positions, patch)
    axes = stream.positions.shape[-1]
    positions = positions.reshape(*positions.shape[:-1], math.prod(patch), axes).mean(axis=-2)
    return Stream(
        values=cells(stream.values) if discrete else patchify(stream.values, patch),
        time=time,
        mask=jnp.any(cells(stream.mask), axis=-1),
        positions=positions,
        segments=None if stream.segments is None else cells(stream.segments).max(axis=-1),
    )
