"""The compiled training step: prepare once, then each due update on what the last one left."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from mmjax import tree
from mmjax.rng import named
from mmjax.training.gradients import gradients, split
from mmjax.training.reduce import Logged, finite
from mmjax.training.state import State, context, trainable
from mmjax.training.system import System, Update
from mmjax.typing import Array, Batch, PRNGKeyArray


def make_step(system: System) -> Callable[[State, Batch], tuple[State, Logged]]:
    """The pure function (state, batch) -> (state, logged); jit it with the state donated.

    A step whose terms, gradients or new state are not all finite leaves the whole state as it was,
    apart from the step counter and the count of bad steps.
    """

    def step(state: State, batch: Batch) -> tuple[State, Logged]:
        key = named(jax.random.key(system.seed), "step", state.step)
        prepared = system.objective.prepare(context(system, state), batch, named(key, "prepare"))
        prepared = jax.lax.stop_gradient(prepared)
        new, logged, good = state, {}, jnp.array(True)
        for name, update in system.updates.items():
            run = functools.partial(_update, system, name, update)
            new, extra, fine = _if_due(run, update, new, prepared, named(key, "update", name))
            extra[f"loss/{name}/total"] = extra.pop("loss")
            if twice := logged.keys() & extra.keys():
                raise ValueError(f"two updates log {', '.join(sorted(twice))}; name them apart")
            logged |= extra
            good &= fine
        new = new.replace(ema=_moved_average(system, new))
        good &= finite(new.ema)
        return _commit(state, new, good), logged | _count_bad(state, good)

    return step


def _commit(old: State, new: State, good: Array) -> State:
    """``new`` if the step was good, else ``old``; the counters advance in either case."""
    kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
    in_a_row = jnp.where(good, 0, old.bad_steps[0] + 1)
    bad_steps = jnp.stack([in_a_row, old.bad_steps[1] + ~good])
    return kept.replace(step=old.step + 1, bad_steps=bad_steps)


def _count_bad(old: State, good: Array) -> Logged:
    in_a_row = jnp.where(good, 0, old.bad_steps[0] + 1).astype(jnp.float32)
    return {"bad_steps": (jnp.where(good, 0.0, 1.0), jnp.ones(())),
            "bad_steps_in_a_row": (in_a_row, jnp.ones(()))}  # fmt: skip


def _if_due(run, update: Update, state: State, batch: Batch, key: PRNGKeyArray):
    """Runs the update every ``update.every`` steps; in between the state stays bit-identical."""
    if update.every == 1:
        return run(state, batch, key)
    _, logged, _ = jax.eval_shape(run, state, batch, key)

    def skip(state, batch, key):
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), logged), jnp.array(True)

    return jax.lax.cond(state.step % update.every == 0, run, skip, state, batch, key)


def _update(system: System, name: str, update: Update, state: State, batch: Batch, key):
    """``update.repeat`` optimiser steps, each on an equal part of the prepared batch."""
    optimise = functools.partial(_optimise, system, name, update)
    if update.repeat == 1:
        return optimise(state, batch, key)

    def body(state, inputs):
        part, index = inputs
        state, logged, good = optimise(state, part, named(key, index))
        return state, (logged, good)

    inputs = (split(batch, update.repeat), jnp.arange(update.repeat))
    state, (logged, good) = jax.lax.scan(body, state, inputs)
    return state, jax.tree.map(lambda x: x.sum(0), logged), good.all()


def _optimise(system: System, name: str, update: Update, state: State, batch: Batch, key):
    """One optimiser step on the parameters that ``update.params`` selects."""
    flat = tree.flatten(state.params)
    chosen = tree.select(flat, update.params)
    found = gradients(system, name, state, chosen, batch, key)
    changes, opt = update.optimiser.build().update(found.gradients, state.opt[name], chosen)
    norm = optax.tree.norm(found.gradients)
    logged = found.logged | {f"gradient_norm/{name}": (norm, jnp.ones(()))}
    changed = optax.apply_updates(chosen, changes)
    good = found.finite & jnp.isfinite(norm)
    # Finite gradients can still take parameters or the optimiser's state past the largest float.
    good &= finite((changed, opt, found.mutable, found.objective))
    state = state.replace(
        params=tree.unflatten({**flat, **changed}),
        opt={**state.opt, name: opt},
        objective=found.objective,
        mutable=found.mutable,
    )
    return state, logged, good


def _moved_average(system: System, state: State) -> dict[str, Array]:
    """The moving average one step on; its decay warms up as (1 + step) / (10 + step)."""
    if not system.train.ema:
        return state.ema
    decay = jnp.minimum(system.train.ema, (1.0 + state.step) / (10.0 + state.step))
    current = trainable(system, state.params)
    return {
        path: value + (1.0 - decay) * (current[path] - value) for path, value in state.ema.items()
    }
