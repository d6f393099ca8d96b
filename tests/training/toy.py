"""A small objective through which the step is tested: linear regression, masks, two players."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mmjax.objectives.base import Aux, Objective, Term
from mmjax.training.system import System, Update
from tests.harness import SGD, make_system


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
class Toy(Objective):
    """An objective whose terms are any function."""

    terms_of: Callable[..., Any] = squared_errors
    networks: tuple[str, ...] = ("model",)

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


def system(objective=None, updates=None, networks=None, **train) -> System:
    objective = Toy() if objective is None else objective
    networks = {name: Linear() for name in objective.networks} if networks is None else networks
    return make_system(objective, networks, updates, **train)


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
