"""Everything that a resumed run needs, and nothing else."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import tree
from mmjax.objectives.base import Context
from mmjax.rng import named, named_keys
from mmjax.training.system import System
from mmjax.typing import Array, Batch, Int, Params, PRNGKeyArray, Tree


@tree.pytree
@dataclasses.dataclass(frozen=True)
class State:
    """The training state, a pytree.

    Attributes:
      step: how many steps were taken, withheld ones included.
      params: ``{network: tree}``.
      opt: ``{update: optimiser state over {path: leaf}}``.
      ema: ``{path: leaf}`` of the parameters that train; empty without averaging.
      mutable: ``{network: {collection: tree}}``, such as batch statistics.
      objective: the objective's own state.
      data_offset: batches skipped, so that batch ``step + data_offset`` comes next.
      bad_steps: non-finite steps: in a row until now, and in total.
    """

    step: Int[Array, ""]
    params: Params
    opt: Mapping[str, Tree]
    ema: Mapping[str, Array]
    mutable: Mapping[str, Any]
    objective: Tree
    data_offset: Int[Array, ""]
    bad_steps: Int[Array, "2"]

    def replace(self, **changes) -> "State":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def trainable(system: System, params: Params) -> dict[str, Array]:
    """The parameters that some update trains, by path."""
    flat = tree.flatten(params)
    patterns = [update.params for update in system.updates.values()]
    paths = {path for pattern in patterns for path in tree.select(flat, pattern)}
    return {path: leaf for path, leaf in flat.items() if path in paths}


def init_networks(system: System, batch: Batch, key: PRNGKeyArray) -> tuple[Params, dict]:
    """Fresh parameters and other collections of every network, for batches like ``batch``."""
    params, mutable = {}, {}
    inputs = system.objective.inputs(batch, named(key, "inputs"))
    for name, arguments in inputs.items():
        rngs = named_keys(named(key, "init", name), "params", "dropout")
        variables = dict(system.networks[name].init(rngs, *arguments))
        params[name] = variables.pop("params", {})
        if variables:
            mutable[name] = variables
    return params, mutable


def init(system: System, batch: Batch) -> State:
    """The state at step 0. Jit-able, and abstract under ``jax.eval_shape``."""
    params, mutable = init_networks(system, batch, jax.random.key(system.seed))
    flat = tree.flatten(params)
    opt = {
        name: update.optimiser.build().init(tree.select(flat, update.params))
        for name, update in system.updates.items()
    }
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt=opt,
        ema=trainable(system, params) if system.train.ema else {},
        mutable=mutable,
        objective=system.objective.init_state(batch),
        data_offset=jnp.zeros((), jnp.int32),
        bad_steps=jnp.zeros((2,), jnp.int32),
    )


def averaged(params: Params, ema: Mapping[str, Array]) -> Params:
    """The parameters with their moving averages in place."""
    return tree.unflatten({**tree.flatten(params), **ema})


def context(system: System, state: State) -> Context:
    """What the objective sees of ``state``."""
    return Context(
        networks=system.networks,
        params=state.params,
        ema=averaged(state.params, state.ema),
        mutable=state.mutable,
        state=state.objective,
        step=state.step,
        sampler=system.sampler,
    )


def sampling_context(system: System, state: State) -> Context:
    """The same with averaged parameters throughout: what samples and metrics are made with."""
    ctx = context(system, state)
    return dataclasses.replace(ctx, params=ctx.ema)


def abstract_batch(batch: Batch) -> Batch:
    """Shapes and dtypes of a batch of NumPy arrays."""
    return {k: jax.ShapeDtypeStruct(np.shape(v), np.asarray(v).dtype) for k, v in batch.items()}
