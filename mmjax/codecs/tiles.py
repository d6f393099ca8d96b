"""Large pictures through an autoencoder of images, tile by tile, blended where tiles overlap."""

import functools
from collections.abc import Callable, Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Array, Float, Tree


def encode_tiles(
    codec: nn.Module,
    variables: Mapping[str, Tree],
    images: Float[Array | np.ndarray, "B H W C"],
    size: int,
    overlap: int,
) -> Float[np.ndarray, "B h w Z"]:
    """The means of what tiles are encoded to, as one grid of latents.

    A tile sees nothing of the others. Where it overlaps them, the weight of each falls towards its
    border; what is left of the error is what borders, attention and normalisation would have taken
    from the rest of the picture. With random parameters :class:`mmjax.codecs.kl.AutoencoderKL` of
    two resolutions gives 16 x 20 latents that, in tiles of 8, differ by 0.10 of their deviation at
    an overlap of 4, by 0.41 at none; decoded pixels differ by 0.30 and 1.02 of theirs.

    Args:
      codec: an autoencoder of images, with ``grid``, ``encode`` and ``decode``.
      variables: its own.
      images: whose sides the codec takes.
      size: latents on a side of a tile; the device holds one at a time.
      overlap: latents that neighbours share, or more; fewer than ``size``.

    Raises:
      UserError: the codec does not take these sides, or tiles would not move on.
    """
    rows, columns = codec.grid(images.shape[1:])
    cell = images.shape[1] // rows
    encode = functools.partial(_encode, codec, variables)
    return _blended(encode, images, (rows, columns), cell, size, overlap)


def decode_tiles(
    codec: nn.Module,
    variables: Mapping[str, Tree],
    latents: Float[Array | np.ndarray, "B h w Z"],
    size: int,
    overlap: int,
) -> Float[np.ndarray, "B H W C"]:
    """The pictures of latents, tile by tile; see :func:`encode_tiles`."""
    decode = functools.partial(_decode, codec, variables)
    return _blended(decode, latents, latents.shape[1:3], 1, size, overlap)


def _blended(
    apply: Callable[[Array], Array],
    source: Float[Array | np.ndarray, "B H W C"],
    grid: tuple[int, int],
    cell: int,
    size: int,
    overlap: int,
) -> Float[np.ndarray, "B I J D"]:
    """The weighed mean of what ``apply`` makes of tiles of a ``grid`` of cells of the source."""
    if not 0 <= overlap < size:
        raise UserError(
            f"tiles of {size} latents that overlap by {overlap}: give an overlap from 0 to "
            f"{size - 1}"
        )
    height, width = (min(size, count) for count in grid)
    total = weights = 0.0
    for top in _starts(grid[0], size, overlap):
        for left in _starts(grid[1], size, overlap):
            rows = slice(top * cell, (top + height) * cell)
            columns = slice(left * cell, (left + width) * cell)
            made = np.asarray(apply(jnp.asarray(source[:, rows, columns])), np.float32)
            scale = made.shape[1] // height
            if isinstance(total, float):
                shape = (len(made), grid[0] * scale, grid[1] * scale, made.shape[-1])
                total, weights = np.zeros(shape, np.float32), np.zeros((*shape[1:3], 1), np.float32)
            weight = np.outer(*(_ramp(n * scale, overlap * scale) for n in (height, width)))
            rows = slice(top * scale, (top + height) * scale)
            columns = slice(left * scale, (left + width) * scale)
            total[:, rows, columns] += weight[..., None] * made
            weights[rows, columns] += weight[..., None]
    return total / weights


def _starts(count: int, size: int, overlap: int) -> Iterator[int]:
    """Where tiles begin; the last one ends where the grid does."""
    start = 0
    while start + size < count:
        yield start
        start += size - overlap
    yield max(count - size, 0)


def _ramp(length: int, overlap: int) -> Float[np.ndarray, " N"]:
    """1 inside, falling over ``overlap`` steps to either end."""
    place = np.arange(length) + 0.5
    distance = np.minimum(place, length - place)
    return np.minimum(1.0, distance / max(overlap, 0.5))


@functools.partial(jax.jit, static_argnums=0)
def _encode(codec: nn.Module, variables: Tree, images: Array) -> Array:
    return codec.apply(variables, images, method="encode").mean


@functools.partial(jax.jit, static_argnums=0)
def _decode(codec: nn.Module, variables: Tree, latents: Array) -> Array:
    return codec.apply(variables, latents, method="decode")
