"""Which key each query may see: boolean masks that broadcast to ``[B, K, N, M]``."""

import jax.numpy as jnp

from mmjax.typing import Array, Bool, Float, Int


def padding(keys: Bool[Array, "B M"]) -> Bool[Array, "B 1 1 M"]:
    """Every query sees the keys that have content."""
    return keys[:, None, None, :]


def same_segment(queries: Int[Array, "B N"], keys: Int[Array, "B M"]) -> Bool[Array, "B 1 N M"]:
    """A query sees the keys of its own segment."""
    return queries[:, None, :, None] == keys[:, None, None, :]


def causal(slots: Int[Array, "N"], keys: int) -> Bool[Array, "1 1 N M"]:
    """A query sees the keys up to its own slot among ``keys``."""
    return (jnp.arange(keys) <= slots[:, None])[None, None]


def frame_causal(queries: Float[Array, "B N"], keys: Float[Array, "B M"]) -> Bool[Array, "B 1 N M"]:
    """A query sees keys whose time in seconds is not after its own: frames past and present."""
    return keys[:, None, None, :] <= queries[:, None, :, None]


def combine(*masks: Array | None) -> Array | None:
    """The conjunction of the masks that are not None; None if all are."""
    result = None
    for mask in masks:
        if mask is not None:
            result = mask if result is None else result & mask
    return result
