"""Attention on TPUs without ever holding the weights of all pairs: JAX's splash kernels.

Dao et al. 2022 (2205.14135), in blocks; the backward pass computes the weights of a block again.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu import splash_attention as splash
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from mmjax.sharding.platform import platform
from mmjax.sharding.rules import MESH_AXES
from mmjax.typing import Array, Bool, Float

BLOCK = 512  # queries, and keys, whose weights are held at once
LANES = 128  # the kernels want heads of a multiple of this size
# Below this many pairs of a query and a key the plain form is as fast and compiles sooner.
FLOOR = 1024 * 1024


def suits(queries: Array, keys: Array, mask: Array | None) -> bool:
    """Whether these kernels are there for the traced program, and worth their while.

    ``mask`` may hide keys, but from all queries alike.
    """
    pairs = queries.shape[1] * keys.shape[1]
    by_key = mask is None or mask.shape[1] == mask.shape[2] == 1
    return platform() == "tpu" and pairs >= FLOOR and by_key


def attend(
    queries: Float[Array, "B N K D"],
    keys: Float[Array, "B M G D"],
    values: Float[Array, "B M G D"],
    mask: Bool[Array, "b 1 1 M"] | None,
    *,
    causal: bool = False,
    interpret: bool = False,
) -> Float[Array, "B N K D"]:
    """As :func:`mmjax.layers.attention.attention`; each device takes its examples and its heads.

    Tokens that the mesh cuts are exchanged for heads on the way in and back on the way out (Jacobs
    et al. 2309.14509). ``interpret`` runs the kernels' arithmetic on any device.
    """
    run = functools.partial(_local, causal=causal, interpret=interpret)
    if mask is None:
        mask = jnp.ones((1, 1, 1, keys.shape[1]), bool)
    seen = jnp.broadcast_to(mask[:, 0, 0], keys.shape[:2])
    mesh = jax.sharding.get_abstract_mesh()
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    free = [axis for axis, kind in kinds if kind != AxisType.Manual]
    if not free:
        return run(queries, keys, values, seen)
    rows = tuple(axis for axis in MESH_AXES["batch"] if axis in free)
    heads = tuple(axis for axis in ("context", "tensor") if axis in free)
    if keys.shape[2] % math.prod(mesh.shape[axis] for axis in heads):
        heads = ()
    if keys.shape[0] % math.prod(mesh.shape[axis] for axis in rows):
        rows = ()
    whole = P(rows, None, heads, None)
    share = jax.shard_map(
        run, in_specs=(whole, whole, whole, P(rows, None)), out_specs=whole,
        axis_names=set(free), check_vma=False,
    )  # fmt: skip
    return share(queries, keys, values, seen)


def _local(q: Array, k: Array, v: Array, seen: Array, *, causal: bool, interpret: bool) -> Array:
    """Attention on one device; keys that are not seen are of another segment than the queries."""
    length, size = q.shape[1], q.shape[3]
    head = -size % LANES
    rows, columns = _padding(length), _padding(k.shape[1])
    q = jnp.pad(q * size**-0.5, ((0, 0), (0, rows), (0, 0), (0, head)))
    k, v = (jnp.pad(x, ((0, 0), (0, columns), (0, 0), (0, head))) for x in (k, v))
    own = jnp.pad(seen, ((0, 0), (0, columns))).astype(jnp.int32)
    segments = splash.SegmentIds(q=jnp.ones(q.shape[:2], jnp.int32), kv=own)
    pairs = (splash.CausalMask if causal else splash.FullMask)((q.shape[1], k.shape[1]))
    kernel = splash.make_splash_mha(
        splash.MultiHeadMask([pairs] * q.shape[2]),
        block_sizes=_blocks(q.shape[1], k.shape[1]), head_shards=1, q_seq_shards=1,
        interpret=interpret,
    )  # fmt: skip
    out = jax.vmap(kernel)(*(x.swapaxes(1, 2) for x in (q, k, v)), segments)
    out = out.swapaxes(1, 2)[:, :length, :, :size]
    before = jnp.logical_or.accumulate(seen, axis=1) if causal else seen.any(1, keepdims=True)
    return jnp.where(before[..., None, None], out, 0).astype(v.dtype)


def _padding(length: int) -> int:
    """Tokens up to the next whole block."""
    return -length % (BLOCK if length > BLOCK else LANES)


def _blocks(queries: int, keys: int) -> splash.BlockSizes:
    q, kv = min(BLOCK, queries), min(BLOCK, keys)
    return splash.BlockSizes(
        block_q=q, block_kv=kv, block_kv_compute=kv, block_q_dkv=q, block_kv_dkv=kv,
        block_kv_dkv_compute=kv, block_q_dq=q, block_kv_dq=kv,
    )  # fmt: skip
