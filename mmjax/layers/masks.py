"""Which key each query may see: boolean masks that broadcast to ``[B, K, N, M]``."""

import jax.numpy as jnp

from mmjax.typing import Array, Bool, Float, Int


def padding(keys: Bool[Array, "B M"]) -> Bool[Array, "B 1 1 M"]:
    """Every query sees the keys that have content."""
    return keys[:, None, None, :]


def same_segment(queries: Int[Array, "B N"], keys: Int[Array, "B M"]) -> Bool[Array, "B 1 N M"]:
    """A query sees the keys of its own segment."""
    return queries[:, None, :, None] == keys[:, None, None, :]


def causal(length: int) -> Bool[Array, "1 1 N N"]:
    """Each of ``length`` tokens sees those up to itself."""
    return jnp.tri(length, dtype=bool)[None, None]


def and_causal(mask: Bool[Array, "..."] | None, length: int) -> Bool[Array, "..."]:
    """What both ``mask`` (None: everything) and :func:`causal` let ``length`` tokens see."""
    return causal(length) if mask is None else mask & causal(length)


def frame_causal(queries: Float[Array, "B N"], keys: Float[Array, "B M"]) -> Bool[Array, "B 1 N M"]:
    """A query sees keys whose time in seconds is not after its own: frames past and present."""
    return keys[:, None, None, :] <= queries[:, None, :, None]


def grow(mask: Bool[Array, "b 1 N N"], start: Int[Array, ""], slots: int) -> Bool[Array, "b 1 N M"]:
    """``mask`` among new tokens, of which the first is at slot ``start`` of ``slots`` in a cache.

    What is in earlier slots is seen by all, later slots by none.
    """
    length = mask.shape[-1]
    place = jnp.arange(slots) - start
    new = jnp.take(mask, jnp.clip(place, 0, length - 1), axis=-1)
    return (place < 0) | (new & (place < length))
