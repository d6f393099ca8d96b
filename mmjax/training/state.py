"""Everything that a resumed run needs, and nothing else."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import tree
from mmjax.errors import UserError
from mmjax.objectives.base import Context
from mmjax.rng import named, named_keys
from mmjax.sharding.platform import platform
from mmjax.training.system import System
from mmjax.typing import Array, Batch, Int, Params, PRNGKeyArray, Tree

# Collections that live for one call: nothing of them is carried from one step to the next.
PER_CALL = ("cache", "hidden", "intermediates", "losses")


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
    """Fresh parameters and other collections of every network, for batches like ``batch``.

    Raises:
      UserError: the objective uses other networks than the config names.
    """
    params, mutable = {}, {}
    inputs = system.objective.inputs(batch, named(key, "inputs"))
    if set(inputs) != set(system.networks):
        raise UserError(
            f"config.networks: has {_names(system.networks)}; the objective uses {_names(inputs)}"
        )
    for name, arguments in inputs.items():
        rngs = named_keys(named(key, "init", name), "params", "dropout")
        variables = dict(system.networks[name].init(rngs, *arguments))
        if "params" in variables:
            params[name] = variables.pop("params")
        if lasting := {k: v for k, v in variables.items() if k not in PER_CALL}:
            mutable[name] = lasting
    return params, mutable


def init(system: System, batch: Batch) -> State:
    """The state at step 0. Jit-able, and abstract under ``jax.eval_shape``.

    Raises:
      UserError: an update trains no parameter, or see :func:`init_networks`.
    """
    params, mutable = init_networks(system, batch, jax.random.key(system.seed))
    return begin(system, batch, params, mutable)


def compiled_init(system: System, **options: Any) -> Callable[[Batch], State]:
    """:func:`init`, compiled with the ``options`` of ``jax.jit``.

    It runs once, and on a CPU it is compiled in a fifth of the time if it is not optimised. Of
    several CPU devices, which simulate a mesh, it also fuses nothing: which multiplications and
    additions LLVM joins depends on what one loop holds, and so on the mesh, and on that the last
    bit of what is drawn. That takes twice as long or more.
    """
    plainly = {"xla_backend_optimization_level": 0} if platform() == "cpu" else None
    if plainly and jax.device_count() > 1:
        plainly["xla_disable_hlo_passes"] = "fusion"
    return jax.jit(functools.partial(init, system), compiler_options=plainly, **options)


def begin(system: System, batch: Batch, params: Params, mutable: Mapping[str, Any]) -> State:
    """The state at step 0 with given parameters and collections."""
    flat = tree.flatten(params)
    opt = {}
    for name, update in system.updates.items():
        chosen = tree.select(flat, update.params)
        if not chosen:
            raise UserError(
                f"config.updates.{name}.params: {update.params!r} matches the whole path of no "
                f"parameter; paths begin with {_names(params)}, such as {next(iter(flat))!r}"
            )
        opt[name] = update.optimiser.build().init(chosen)
    # A copy, since a step that donates its state may not be given one buffer twice.
    averages = jax.tree.map(jnp.copy, trainable(system, params)) if system.train.ema else {}
    return State(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt=opt,
        ema=averages,
        mutable=mutable,
        objective=system.objective.init_state(batch),
        data_offset=jnp.zeros((), jnp.int32),
        bad_steps=jnp.zeros((2,), jnp.int32),
    )


def _names(named: Mapping[str, Any]) -> str:
    return ", ".join(sorted(named)) or "none"


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


def abstract_batch(batch: Batch, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the global batch of ``size`` rows, from this process's rows of it."""
    arrays = {name: np.asarray(x) for name, x in batch.items()}
    return {k: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype) for k, x in arrays.items()}
