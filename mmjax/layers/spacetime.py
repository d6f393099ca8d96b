"""Moving between the axes and the channels of a video, without parameters."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from mmjax.typing import Array, Float

Factors = tuple[int, int, int]  # frames, rows, columns


def by_frame(
    function: Callable[[Array], Array], x: Float[Array, "B T H W C"]
) -> Float[Array, "B T h w D"]:
    """A function of images applied to every frame."""
    batch, frames, *shape = x.shape
    y = function(x.reshape(batch * frames, *shape))
    return y.reshape(batch, frames, *y.shape[1:])


def space_to_depth(
    x: Float[Array, "B T H W C"], factors: Factors, *, columns_first: bool = False
) -> Float[Array, "B t h w D"]:
    """Cells of ``factors`` frames, rows and columns as channels, ordered (channel, t, h, w).

    ``columns_first`` orders them (channel, t, w, h), as the first layers of Wan 2.2 and LTX do.
    """
    batch, *grid, channels = x.shape
    counts = [n // factor for n, factor in zip(grid, factors, strict=True)]
    split = [n for pair in zip(counts, factors, strict=True) for n in pair]
    inner = (2, 6, 4) if columns_first else (2, 4, 6)
    x = x.reshape(batch, *split, channels).transpose(0, 1, 3, 5, 7, *inner)
    return x.reshape(batch, *counts, channels * math.prod(factors))


def depth_to_space(
    x: Float[Array, "B t h w D"], factors: Factors, *, columns_first: bool = False
) -> Float[Array, "B T H W C"]:
    """The inverse of :func:`space_to_depth`."""
    batch, *counts, features = x.shape
    channels = features // math.prod(factors)
    t, h, w = factors
    cell = (t, w, h) if columns_first else (t, h, w)
    rows, columns = (7, 6) if columns_first else (6, 7)
    x = x.reshape(batch, *counts, channels, *cell).transpose(0, 1, 5, 2, rows, 3, columns, 4)
    return x.reshape(batch, *(n * f for n, f in zip(counts, factors, strict=True)), channels)


def average_down(
    x: Float[Array, "B T H W C"], factors: Factors, features: int
) -> Float[Array, "B t h w D"]:
    """Cells as channels, of which neighbours are averaged until ``features`` are left.

    The shortcut of DC-AE's residual autoencoding (Chen et al. 2410.10733, section 3.2) in 3D.
    """
    x = space_to_depth(x, factors)
    return jnp.mean(x.reshape(*x.shape[:-1], features, -1), axis=-1)


def repeat_up(
    x: Float[Array, "B t h w C"], factors: Factors, features: int
) -> Float[Array, "B T H W D"]:
    """Channels, each repeated as often as ``features`` need it, as cells (ibid.)."""
    repeats = features * math.prod(factors) // x.shape[-1]
    return depth_to_space(jnp.repeat(x, repeats, axis=-1), factors)
