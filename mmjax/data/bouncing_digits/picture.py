"""The picture: handwritten digits cut to their ink and drawn between the pixels."""

import functools

import numpy as np

from mmjax.data.digits import resized
from mmjax.typing import Float

_INK = 64  # of 255; fainter rims are cut away, so that the box that bounces is the box that is seen


@functools.cache
def sprite(split: str, instance: int, size: int) -> Float[np.ndarray, "h w"]:
    """A digit ``[h, w]`` float32 from 0 to 255, drawn ``size`` pixels high and cut to its ink."""
    picture = resized(split, instance, size, size)
    rows = np.flatnonzero((picture >= _INK).any(axis=1))
    columns = np.flatnonzero((picture >= _INK).any(axis=0))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    cut.setflags(write=False)
    return cut


def _spread(starts: np.ndarray, extent: int, pixels: int) -> np.ndarray:
    """Weights ``[T, pixels, extent]`` of linear interpolation of a sprite placed at ``starts``."""
    offset = np.arange(pixels)[:, None] - np.arange(extent) - starts[:, None, None]
    return np.maximum(0, 1 - np.abs(offset)).astype(np.float32)


def draw(
    sprite: Float[np.ndarray, "h w"],
    centres: Float[np.ndarray, "T 2"],
    height: int,
    width: int,
) -> Float[np.ndarray, "T H W"]:
    """A moving sprite ``[T, height, width]`` float32 at sub-pixel ``centres`` ``[T, 2]`` (x, y).

    Bilinear interpolation keeps the sum of the pixels and moves their centroid exactly with the
    sprite.
    """
    rows, columns = sprite.shape
    across = _spread(centres[:, 0] - columns / 2, columns, width)
    down = _spread(centres[:, 1] - rows / 2, rows, height)
    return down @ sprite @ across.transpose(0, 2, 1)
