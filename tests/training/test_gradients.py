"""Gradients of the chosen parameters, and what accumulation hands from part to part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.objectives.base import Aux, Term
from mmjax.training.gradients import gradients, split
from mmjax.training.state import init
from tests.harness import assert_near
from tests.training.toy import Toy, batch, squared_errors, system

KEY = jax.random.key(3)


def found(toy, data, chosen=None, key=KEY):
    state = init(toy, data)
    flat = tree.flatten(state.params)
    chosen = flat if chosen is None else {name: flat[name] for name in chosen}
    return state, gradients(toy, "main", state, chosen, data, key)


def test_split_keeps_the_order_of_examples():
    parts = split({"x": jnp.arange(12).reshape(6, 2)}, 3)["x"]
    assert parts.shape == (3, 2, 2)
    np.testing.assert_array_equal(parts.reshape(6, 2), np.arange(12).reshape(6, 2))


def test_gradients_are_those_of_the_chosen_parameters_alone():
    data = batch()
    _, every = found(system(), data)
    _, some = found(system(), data, ["model/dense/bias"])
    assert set(every.gradients) == {"model/dense/bias", "model/dense/kernel"}
    assert set(some.gradients) == {"model/dense/bias"}
    assert_near(some.gradients["model/dense/bias"], every.gradients["model/dense/bias"])


@pytest.mark.parametrize("parts", [1, 2])
def test_without_changes_state_and_collections_stay(parts):
    def terms(ctx, batch, key, update):
        return squared_errors(ctx, batch, key, update)[0], Aux()

    state, result = found(system(Toy(terms), accumulate=parts), batch())
    assert result.objective == state.objective
    assert result.mutable == state.mutable


def test_each_part_has_a_key_of_its_own_and_sees_what_the_last_one_left():
    def terms(ctx, batch, key, update):
        terms, aux = squared_errors(ctx, batch, key, update)
        calls = ctx.mutable["model"]["counts"]["calls"]
        metrics = {"calls": calls, "drawn": jax.random.uniform(key)}
        metrics["square"] = metrics["drawn"] ** 2
        return terms, Aux(aux.state, aux.mutable, metrics)

    _, result = found(system(Toy(terms), accumulate=4), batch())
    mean = {name: float(t / c) for name, (t, c) in result.logged.items()}
    assert mean["calls"] == pytest.approx((0 + 1 + 2 + 3) / 4)
    assert mean["square"] - mean["drawn"] ** 2 > 1e-4  # four draws differ
    assert float(result.objective) == pytest.approx(float(batch()["x"].sum()), rel=1e-4)


@pytest.mark.parametrize("name", ["model", "modle"])
def test_a_collection_that_the_state_lacks_is_an_error(name):
    def terms(ctx, batch, key, update):
        return {"a": Term(jnp.zeros(()))}, Aux(mutable={name: {"losses": jnp.zeros(())}})

    with pytest.raises(ValueError, match=rf"Aux\.mutable\['{name}'\] has losses"):
        found(system(Toy(terms)), batch())
