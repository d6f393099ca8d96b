"""A small objective through which the step is tested: linear regression, masks, two players."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.objectives.base import Aux, Term
from mmjax.training.optimiser import AdamW, Schedule, Sgd
from mmjax.training.state import init
from mmjax.training.step import make_step
from mmjax.training.system import Data, System, Train, Update

SGD = Sgd(Schedule(0.1))
ADAM = AdamW(Schedule(0.1))


class Linear(nn.Module):
    """A linear map that also counts its calls in a collection of its own."""

    features: int = 2

    @nn.compact
    def __call__(self, x):
        calls = self.variable("counts", "calls", lambda: jnp.zeros(()))
        if not self.is_initializing():
            calls.value += 1.0
        return nn.Dense(self.features, name="dense")(x)


def squared_errors(ctx, batch, key, update):
    """One term, its changed collections, and a state that adds up what was seen."""
    predicted, changed = ctx.apply("model", batch["x"], mutable=["counts"])
    values = jnp.square(predicted - batch["y"])
    aux = Aux(
        state=ctx.state + batch["x"].sum(),
        mutable={"model": changed},
        metrics={"largest": values.max()},
    )
    return {"error": Term(values, batch.get("mask"))}, aux


@dataclasses.dataclass(frozen=True)
class Toy:
    """An objective whose terms are any function."""

    terms_of: Callable[..., Any] = squared_errors
    networks: tuple[str, ...] = ("model",)
    whole_batch = False

    def inputs(self, batch, key):
        return {name: (batch["x"],) for name in self.networks}

    def init_state(self, batch):
        return jnp.zeros(())

    def prepare(self, ctx, batch, key):
        return batch

    def terms(self, ctx, batch, key, update):
        return self.terms_of(ctx, batch, key, update)


def one_update(**values) -> dict[str, Update]:
    return {"main": Update(**{"optimiser": SGD, **values})}


def system(
    objective: Any = None, updates: Mapping[str, Update] | None = None, networks=None, **train
) -> System:
    objective = Toy() if objective is None else objective
    networks = {name: Linear() for name in objective.networks} if networks is None else networks
    return System(
        name="toy",
        objective=objective,
        updates=updates or one_update(),
        networks=networks,
        data=Data(train=None),
        train=Train(steps=10, **train),
    )


def batch(size=8, length=3, seed=0, masked=False):
    rng = np.random.default_rng(seed)
    found = {
        "x": rng.normal(size=(size, length, 4)).astype(np.float32),
        "y": rng.normal(size=(size, length, 2)).astype(np.float32),
    }
    if masked:  # from no value to all of them in one example
        found["mask"] = np.arange(length) < rng.integers(0, length + 1, size)[:, None]
        found["mask"][:2] = True
    return found


def begin(system, batch):
    """The compiled step and the state at step 0."""
    return jax.jit(make_step(system)), jax.jit(lambda b: init(system, b))(batch)


def run(system, *batches):
    """The states before and after each step, and what the last one logged."""
    step, state = begin(system, batches[0])
    states, logged = [state], {}
    for current in batches:
        state, logged = step(state, current)
        states.append(state)
    return states, logged


def mean(logged, name):
    total, count = logged[name]
    return float(total / count)


def assert_same_bits(found, expected):
    """Two pytrees equal in structure and in every bit."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_near(found, expected, tolerance=1e-5):
    """Two pytrees equal to a relative tolerance."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
