"""Scaled dot-product attention: grouped queries, masks, rows that see nothing, one fast path."""

import jax
import jax.numpy as jnp

from mmjax.typing import Array, Bool, Float

_HIDDEN = -1e30  # finite, so that a row that sees nothing has no NaN on its way to zero


def attention(
    queries: Float[Array, "B N K D"],
    keys: Float[Array, "B M G D"],
    values: Float[Array, "B M G D"],
    mask: Bool[Array, "..."] | None = None,
    *,
    higher_order: bool = False,
) -> Float[Array, "B N K D"]:
    """Softmax attention of ``K`` query heads over ``G`` key heads, each for ``K / G`` queries.

    Args:
      queries: ``K`` heads of size ``D`` for each token.
      keys: ``G`` heads, a divisor of ``K``.
      values: ``G`` heads.
      mask: true where a query may see a key, broadcastable to ``[B, 1, N, M]``; None: everywhere.
        A query that sees no key gives zeros.
      higher_order: use the plain form, whose derivative can itself be differentiated (``jvp`` and
        second derivatives fail through the default's hand-written gradient).

    The default's gradient keeps the softmax and the output, and needs no pass over the scores to
    renormalise (Dao et al. 2022, appendix B.2); heads come first and keys are transposed once, so
    that no matrix product of either pass transposes a large operand.
    """
    batch, length, heads, size = queries.shape
    groups = keys.shape[2]
    if heads % groups:
        raise ValueError(f"{heads} query heads do not share {groups} key heads evenly")
    q = (queries * size**-0.5).reshape(batch, length, groups, heads // groups, size)
    q = q.transpose(0, 2, 3, 1, 4).reshape(batch, groups, -1, size)  # rows: share, then token
    k = keys.transpose(0, 2, 3, 1)
    v = values.transpose(0, 2, 1, 3)
    out = (_plain if higher_order else _fast)(q, k, v, mask)
    out = out.reshape(batch, groups, heads // groups, length, size)
    return out.transpose(0, 3, 1, 2, 4).reshape(batch, length, heads, size)


def _weights(q: Array, k: Array, mask: Array | None) -> Array:
    """Softmax of ``q [B, G, RN, D]`` times ``k [B, G, D, M]`` over the visible keys, float32."""
    scores = jnp.matmul(q, k, preferred_element_type=jnp.float32)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    rows = scores.shape  # the mask has one row per token, shared by the queries of a group
    tokens = mask.shape[-2]
    if tokens > 1:
        scores = scores.reshape(*rows[:2], rows[2] // tokens, tokens, rows[3])
        mask = mask[:, :, None]
    scores = jnp.where(mask, scores, _HIDDEN)
    top = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    weights = jnp.where(mask, jnp.exp(scores - top), 0.0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return (weights / jnp.where(total > 0, total, 1.0)).reshape(rows)


def _plain(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    return jnp.matmul(_weights(q, k, mask).astype(v.dtype), v)


@jax.custom_vjp
def _fast(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    return _plain(q, k, v, mask)


def _fast_forward(q: Array, k: Array, v: Array, mask: Array | None):
    weights = _weights(q, k, mask).astype(v.dtype)
    out = jnp.matmul(weights, v)
    return out, (q, k, v, weights, out)


def _fast_backward(saved, gradient: Array):
    q, k, v, weights, out = saved
    transpose = jnp.matrix_transpose
    grad_v = jnp.matmul(transpose(weights), gradient)
    grad_weights = jnp.matmul(gradient, transpose(v), preferred_element_type=jnp.float32)
    shared = jnp.sum((gradient * out).astype(jnp.float32), axis=-1, keepdims=True)
    grad_scores = (weights * (grad_weights - shared)).astype(q.dtype)
    grad_q = jnp.matmul(grad_scores, transpose(k))
    grad_k = jnp.matmul(transpose(q), grad_scores)
    return grad_q, grad_k, grad_v, None


_fast.defvjp(_fast_forward, _fast_backward)
