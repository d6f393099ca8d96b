"""Attention over tokens that the mesh cuts into parts, exactly and on local slices.

All-to-all (Ulysses; Jacobs et al. 2309.14509, section 3): every device gives its tokens' queries,
keys and values of most heads away for all tokens of its own heads, runs the ordinary attention on
these, and gives the result back. Against a ring of partial softmaxes it moves less, needs no second
softmax, and takes any mask and any kernel that :func:`mmjax.layers.attention.attention` does, with
its gradient. It asks that the devices divide the heads.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from mmjax.errors import UserError
from mmjax.layers import masks
from mmjax.layers.attention import attention
from mmjax.sharding.constrain import context_size
from mmjax.sharding.rules import divided
from mmjax.typing import Array, Bool


def attend(
    queries: Sequence[Array],
    keys: Sequence[Array],
    values: Sequence[Array],
    mask: Bool[Array, "..."] | None,
    *,
    causal: bool = False,
    higher_order: bool = False,
) -> list[Array]:
    """Attention of all lanes' queries to all lanes' keys.

    Args:
      queries: ``[B, N, K, D]`` of each lane.
      keys: ``[B, M, G, D]`` of each lane.
      values: like ``keys``.
      mask: over the lanes' tokens in order, see :func:`mmjax.layers.attention.attention`.
      causal: see there.
      higher_order: see there.

    Returns:
      What each lane's queries attended to, ``[B, N, K, D]``.

    Raises:
      UserError: the mesh cuts tokens into a number of parts that does not divide the heads.
    """
    parts = context_size()
    exchanged = parts > 1 and not any(x.shape[1] % parts for x in (*queries, *keys))
    if exchanged and causal and len(queries) > 1:  # their tokens arrive in another order
        mask, causal = masks.and_causal(mask, sum(x.shape[1] for x in queries)), False
    run = functools.partial(attention, causal=causal, higher_order=higher_order)
    if exchanged:
        return _exchanged(run, queries, keys, values, mask, parts)
    lanes = (jnp.concatenate(x, axis=1) for x in (queries, keys, values))
    return _lanes(run(*lanes, mask), [x.shape[1] for x in queries])


def _exchanged(run, queries, keys, values, mask, parts: int) -> list[Array]:
    mesh = jax.sharding.get_abstract_mesh()
    heads = queries[0].shape[2]
    if heads % parts:
        raise UserError(
            f"config.mesh.context: {parts} does not divide the {heads} heads of the attention"
        )
    along = divided(mesh, (None, None, "heads", None), (1, 1, heads // parts, 1))[2]
    shared = math.lcm(keys[0].shape[2], parts * (mesh.shape["tensor"] if along else 1))
    spread = lambda x: jnp.repeat(x, shared // x.shape[2], axis=2)  # noqa: E731
    keys, values = list(map(spread, keys)), list(map(spread, values))
    rows = divided(mesh, ("batch",), queries[0].shape[:1])[0]
    cut = P(rows, "context", along, None)
    if mask is None:
        mask = jnp.ones((1, 1, 1, sum(x.shape[1] for x in keys)), bool)
    mask = _in_parts(mask, 2, [x.shape[1] for x in queries], parts)
    mask = _in_parts(mask, 3, [x.shape[1] for x in keys], parts)
    share = jax.shard_map(
        functools.partial(_local, run),
        in_specs=(cut, cut, cut, P(rows if mask.shape[0] > 1 else None)),
        out_specs=cut,
        check_vma=False,
    )
    return share(list(queries), keys, values, mask)


def _local(run, queries, keys, values, mask) -> list[Array]:
    """On one device: a slice of each lane's tokens in and out."""
    swap = functools.partial(jax.lax.all_to_all, axis_name="context", tiled=True)
    inward = functools.partial(swap, split_axis=2, concat_axis=1)
    q, k, v = (jnp.concatenate(x, axis=1) for x in (queries, keys, values))
    out = run(inward(q), inward(k), inward(v), mask)
    out = swap(out, split_axis=1, concat_axis=2)
    return _lanes(out, [x.shape[1] for x in queries])


def _in_parts(mask: Array, axis: int, lengths: Sequence[int], parts: int) -> Array:
    """``mask`` in the order in which exchanged tokens arrive: a part of every lane, then the next.

    Attention does not mind the order of tokens, so they are left in it.
    """
    if mask.shape[axis] == 1 or len(lengths) == 1:
        return mask
    lanes = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    order = np.concatenate([lane.reshape(parts, -1) for lane in lanes], axis=1).reshape(-1)
    return jnp.take(mask, order, axis=axis)


def _lanes(x: Array, lengths: Sequence[int]) -> list[Array]:
    return jnp.split(x, np.cumsum(lengths)[:-1], axis=1)
