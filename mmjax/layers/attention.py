"""Scaled dot-product attention: grouped queries, masks, rows that see nothing."""

import jax
import jax.numpy as jnp

from mmjax.layers import masks, tpu_attention
from mmjax.layers.linear import settled
from mmjax.typing import Array, Bool, Float

_HIDDEN = -1e30  # finite, so that a row that sees nothing has no NaN on its way to zero
_CACHED = 1 << 20  # scores that a CPU keeps in its caches: 4 MiB


def attention(
    queries: Float[Array, "B N K D"],
    keys: Float[Array, "B M G D"],
    values: Float[Array, "B M G D"],
    mask: Bool[Array, "..."] | None = None,
    *,
    causal: bool = False,
    higher_order: bool = False,
) -> Float[Array, "B N K D"]:
    """Softmax attention of ``K`` query heads over ``G`` key heads, each for ``K / G`` queries.

    Args:
      queries: ``K`` heads of size ``D`` for each token.
      keys: ``G`` heads, a divisor of ``K``.
      values: ``G`` heads.
      mask: true where a query may see a key, broadcastable to ``[B, 1, N, M]``; None: everywhere.
        A query that sees no key gives zeros.
      causal: besides, a query sees no key after its own place.
      higher_order: leave the derivative to JAX, so that it can itself be differentiated (``jvp``
        and second derivatives fail through the default's hand-written gradient).

    Both forms divide by the sum of the weights after the product with the values, on ``[N, D]``
    rather than ``[N, M]`` numbers. The default's gradient keeps the undivided weights and the
    output, which gives each row's inner product with its gradient (Dao et al. 2022, appendix B.2),
    and multiplies no transpose of an ``[N, M]`` matrix, which costs twice the time on a CPU.
    """
    batch, length, heads, size = queries.shape
    groups = keys.shape[2]
    if heads % groups:
        raise ValueError(f"{heads} query heads do not share {groups} key heads evenly")
    if not higher_order and tpu_attention.suits(queries, keys, mask):
        return tpu_attention.attend(queries, keys, values, mask, causal=causal)
    if causal:
        mask = masks.and_causal(mask, length)
    q = (queries * size**-0.5).reshape(batch, length, groups, heads // groups, size)
    q = q.transpose(0, 2, 3, 1, 4).reshape(batch, groups, -1, size)  # rows: share, then token
    k = keys.transpose(0, 2, 1, 3)
    v = values.transpose(0, 2, 1, 3)
    out = (_plain if higher_order else _fast)(q, k, v, mask)
    out = out.reshape(batch, groups, heads // groups, length, size)
    return out.transpose(0, 3, 1, 2, 4).reshape(batch, length, heads, size)


def _plain(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    return _forward(q, k, v, mask)[0]


def _forward(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """The output ``[B, G, RN, D]``, the undivided weights ``[B, G, RN, M]``, one over their sum."""
    scores = _product(q, jnp.matrix_transpose(k))
    if mask is not None:
        rows, tokens = scores.shape, mask.shape[-2]
        if tokens > 1:  # the mask has one row per token, shared by the queries of a group
            scores = scores.reshape(*rows[:2], rows[2] // tokens, tokens, rows[3])
            mask = mask[:, :, None]
        scores = jnp.where(mask, scores, _HIDDEN).reshape(rows)
    top = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    weights = jnp.exp(scores - top)
    scale = jnp.where(top > _HIDDEN, 1 / jnp.sum(weights, axis=-1, keepdims=True), 0.0)
    weights = weights.astype(v.dtype)
    return (_product(weights, v) * scale).astype(v.dtype), weights, scale


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


@jax.custom_vjp
def _fast(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    examples = _CACHED // max(1, q[0, ..., 0].size * k.shape[2])
    on_one_cpu = jax.default_backend() == "cpu" and jax.sharding.get_abstract_mesh().empty
    if on_one_cpu and examples < q.shape[0]:
        return _in_parts(q, k, v, mask, max(1, examples))
    return _plain(q, k, v, mask)


def _in_parts(q: Array, k: Array, v: Array, mask: Array | None, examples: int) -> Array:
    """:func:`_plain`, a few examples at a time, so that a CPU's caches hold what is between.

    Scores go through memory five times otherwise, which is a quarter of the time. Where there is a
    gradient nothing is gained, since it has to keep the weights of all examples.
    """
    per_example = None if mask is None or mask.shape[0] == 1 else mask[:, None]

    def one(part):
        q, k, v, own = part
        return _plain(q[None], k[None], v[None], mask if own is None else own)[0]

    return jax.lax.map(one, (q, k, v, per_example), batch_size=examples)


def _fast_forward(q: Array, k: Array, v: Array, mask: Array | None):
    out, weights, scale = _forward(q, k, v, mask)
    return out, (q, k, v, weights, scale, out)


def _fast_backward(saved, gradient: Array):
    q, k, v, weights, scale, out = saved
    transpose = jnp.matrix_transpose
    scaled = (gradient * scale).astype(v.dtype)
    shared = jnp.sum((scaled * out).astype(jnp.float32), axis=-1, keepdims=True)
    grad_scores = weights * (_product(scaled, transpose(v)) - shared)
    grad_scores = grad_scores.astype(q.dtype)
    grad_q = jnp.matmul(grad_scores, k)
    grad_k = settled(jnp.matmul(settled(transpose(q)), grad_scores))
    grad_v = settled(jnp.matmul(settled(transpose(scaled)), weights))
    return grad_q, transpose(grad_k), transpose(grad_v), None


_fast.defvjp(_fast_forward, _fast_backward)
