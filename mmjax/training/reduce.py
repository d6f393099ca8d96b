"""The one reducer: masked sums over masked counts, for every term of every objective."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.objectives.base import Term
from mmjax.typing import Array, Float

TIME_BUCKETS = 4

# Everything that is logged is a pair (sum, count), so that it averages exactly over devices,
# accumulated parts, updates that were not due, and steps between two log lines.
Logged = dict[str, tuple[Array, Array]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Packed:
    """What a step logs as one array: every array that comes to the host costs a round of its own.

    Attributes:
      pairs: sum and count of each name.
      names: in the order of the pairs.
    """

    pairs: Float[Array, "names 2"]
    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})

    def read(self) -> dict[str, tuple[float, float]]:
        """The pairs by name, on the host; waits for the step."""
        return dict(zip(self.names, map(tuple, np.asarray(self.pairs).tolist()), strict=True))


def pack(logged: Logged) -> Packed:
    """The pairs as one array; see :class:`Packed`."""
    names = tuple(sorted(logged))
    pairs = [jnp.stack(jnp.broadcast_arrays(*map(jnp.float32, logged[name]))) for name in names]
    return Packed(jnp.stack(pairs), names)


def reduce_terms(
    terms: Mapping[str, Term], counts: Mapping[str, Array] | None, parts: int = 1
) -> tuple[Float[Array, ""], Logged, Array]:
    """The loss, what to log, and whether every term is finite.

    Args:
      terms: the objective's terms on this part of the batch.
      counts: the whole batch's counts by term; None where this part is the whole batch.
      parts: into how many parts the batch is split.
    """
    loss, logged, finite = jnp.zeros(()), {}, jnp.array(True)
    for name, term in terms.items():
        values, mask = _weighed(term)
        total, count = jnp.sum(values), jnp.sum(mask)
        whole = count if counts is None else counts[name]
        loss += term.weight * total / jnp.maximum(whole, 1.0)
        finite &= jnp.isfinite(total)
        logged[f"loss/{name}"] = (total, count)
        if term.time is not None and term.per == "token":
            logged |= _by_time(name, term, values, mask)
    logged["loss"] = (loss, jnp.full((), 1.0 / parts))
    return loss, logged, finite


def counts_of(terms: Mapping[str, Term]) -> dict[str, Array]:
    """How many values of each term count; the values themselves are not computed under jit."""
    return {name: jnp.sum(_weighed(term)[1]) for name, term in terms.items()}


def _weighed(term: Term) -> tuple[Array, Array]:
    """Values with zeros where they do not count, and the float mask."""
    values = jnp.asarray(term.values, jnp.float32)
    mask = jnp.ones((), bool) if term.mask is None else term.mask
    mask = _spread(mask, values)
    values = jnp.where(mask, values, 0.0)  # not a product: 0 times a masked infinity is NaN
    mask = mask.astype(jnp.float32)
    if term.per == "token" or values.ndim == 0:
        return values, mask
    axes = tuple(range(1, values.ndim))
    tokens = mask.sum(axes)
    return values.sum(axes) / jnp.maximum(tokens, 1.0), (tokens > 0).astype(jnp.float32)


def _spread(leading: Array, values: Array) -> Array:
    """``[B]`` or ``[B, ...]`` over the trailing axes of ``values``."""
    shape = leading.shape + (1,) * (values.ndim - leading.ndim)
    return jnp.broadcast_to(leading.reshape(shape), values.shape)


def _by_time(name: str, term: Term, values: Array, mask: Array) -> Logged:
    bucket = jnp.clip((term.time * TIME_BUCKETS).astype(jnp.int32), 0, TIME_BUCKETS - 1)
    logged = {}
    for index in range(TIME_BUCKETS):
        chosen = _spread(bucket == index, values)
        label = f"loss/{name}/time_{index / TIME_BUCKETS:.2f}"
        logged[label] = (jnp.sum(jnp.where(chosen, values, 0.0)), jnp.sum(mask * chosen))
    return logged


def finite(values) -> Array:
    """Whether every float of a pytree is finite."""
    leaves = [x for x in jax.tree.leaves(values) if jnp.issubdtype(x.dtype, jnp.floating)]
    wrong = sum((jnp.sum(~jnp.isfinite(x), dtype=jnp.float32) for x in leaves), jnp.zeros(()))
    # Whoever asks selects leaf by leaf, and XLA copies a chain of cheap scalars into each select: a
    # count from every leaf, for every leaf. A square root is dear enough to be computed once.
    return jnp.sqrt(wrong) == 0.0
