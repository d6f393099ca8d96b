"""Gradients of an objective's reduced terms, with or without accumulation."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mmjax import tree
from mmjax.rng import named
from mmjax.training.reduce import Logged, counts_of, reduce_terms
from mmjax.training.state import State, context
from mmjax.training.system import System
from mmjax.typing import Array, Batch, PRNGKeyArray, Tree


class Result(NamedTuple):
    """Gradients by path with what else the terms left: state, collections, log, finiteness."""

    gradients: Mapping[str, Array]
    objective: Tree
    mutable: Mapping
    logged: Logged
    finite: Array


def split(batch: Tree, parts: int) -> Tree:
    """Every leaf ``[B, ...]`` as ``[parts, B / parts, ...]``."""
    return jax.tree.map(lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch)


def _merged(mutable: Mapping, changed: Mapping) -> dict:
    """Collections by network with the changed ones in place; there must have been such before."""
    for name, collections in changed.items():
        if unknown := set(collections) - set(mutable.get(name, {})):
            raise ValueError(
                f"Aux.mutable[{name!r}] has {', '.join(sorted(unknown))}, which the state lacks: "
                "collections are made when networks are initialised, those of one call are dropped"
            )
    return {name: {**mutable[name], **changed.get(name, {})} for name in mutable}


def gradients(
    system: System,
    update: str,
    state: State,
    chosen: Mapping[str, Array],
    batch: Batch,
    key: PRNGKeyArray,
) -> Result:
    """Gradients with respect to the parameters ``chosen`` for one update.

    With ``train.accumulate`` parts, each part's sums are divided by the *whole* batch's counts, so
    masks of unequal size weigh as they would without accumulation.
    """
    flat = tree.flatten(state.params)
    parts = system.train.accumulate

    def terms_of(chosen, objective, mutable, part, key):
        params = tree.unflatten({**flat, **chosen})
        current = state.replace(params=params, objective=objective, mutable=mutable)
        return system.objective.terms(context(system, current), part, key, update)

    def loss(chosen, objective, mutable, counts, part, key):
        terms, aux = terms_of(chosen, objective, mutable, part, key)
        total, logged, finite = reduce_terms(terms, counts, parts)
        logged |= {name: (value, jnp.ones(())) for name, value in aux.metrics.items()}
        objective = objective if aux.state is None else aux.state
        return total, (objective, _merged(mutable, aux.mutable), logged, finite)

    gradient = jax.grad(loss, has_aux=True)
    if parts == 1:
        found, rest = gradient(chosen, state.objective, state.mutable, None, batch, key)
        return Result(found, *rest)

    inputs = (split(batch, parts), jax.vmap(lambda i: named(key, i))(jnp.arange(parts)))

    def count(carry, part):
        return carry, counts_of(terms_of(chosen, state.objective, state.mutable, *part)[0])

    _, counts = jax.lax.scan(count, None, inputs)
    counts = jax.tree.map(lambda x: x.sum(0), counts)

    def body(carry, part):
        total, objective, mutable = carry
        found, (objective, mutable, *logs) = gradient(chosen, objective, mutable, counts, *part)
        return (jax.tree.map(jnp.add, total, found), objective, mutable), logs

    start = (jax.tree.map(jnp.zeros_like, chosen), state.objective, state.mutable)
    (total, objective, mutable), (logged, finite) = jax.lax.scan(body, start, inputs)
    logged = jax.tree.map(lambda x: x.sum(0), logged)
    return Result(total, objective, mutable, logged, finite.all())
