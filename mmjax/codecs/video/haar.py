"""The Haar wavelet transform of clips: cells of frames, rows and columns as bands, and back."""

import jax.numpy as jnp

from mmjax.layers.patch import patchify, unpatchify
from mmjax.typing import Array, Float

_CELL = (2, 2, 2)


def to_bands(x: Float[Array, "B T H W C"], side: int) -> Float[Array, "B t h w D"]:
    """Cells of ``side`` frames, rows and columns, a power of two, as ``side**3`` bands.

    Each of ``log2(side)`` steps turns cells of two into sums and differences along the three axes,
    over 8, so that the first band is the mean of a cell. Features are ordered (band, channel), the
    bands of the last step before those of the steps before it (NVIDIA 2025, 2501.03575).
    """
    while side > 1:
        x, side = _mixed(patchify(x, _CELL)) / 8, side // 2
    return x


def from_bands(x: Float[Array, "B t h w D"], side: int) -> Float[Array, "B T H W C"]:
    """The inverse of :func:`to_bands`."""
    while side > 1:
        x, side = unpatchify(_mixed(x), _CELL), side // 2
    return x


def _mixed(x: Float[Array, "B t h w D"]) -> Float[Array, "B t h w D"]:
    """Sums and differences along the three axes of two that features begin with."""
    cells = x.reshape(*x.shape[:4], *_CELL, -1)
    for axis in (4, 5, 6):
        first, second = jnp.split(cells, 2, axis)
        cells = jnp.concatenate([first + second, first - second], axis)
    return cells.reshape(x.shape)
