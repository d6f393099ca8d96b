"""The state at step 0, and what an objective sees of it."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Term
from mmjax.training.state import (
    abstract_batch,
    averaged,
    context,
    init,
    sampling_context,
    trainable,
)
from mmjax.training.system import Update
from tests.harness import SGD, assert_same_bits, run
from tests.training.toy import Linear, Toy, batch, one_update, system


class Talkative(nn.Module):
    """Leaves something in every collection that lasts for one call, and one that stays."""

    @nn.compact
    def __call__(self, x):
        self.sow("losses", "balance", jnp.zeros(()))
        self.sow("hidden", "features", x)
        self.sow("intermediates", "features", x)
        self.variable("cache", "keys", jnp.zeros, (2,))
        self.variable("batch_stats", "mean", jnp.zeros, (2,))
        return nn.Dense(2)(x)


class Silent(nn.Module):
    """Has no parameters."""

    @nn.compact
    def __call__(self, x):
        return 2.0 * x


def test_a_state_is_the_same_abstractly_and_for_the_same_seed():
    toy, data = system(ema=0.9), batch()
    state = init(toy, data)
    abstract = jax.eval_shape(lambda b: init(toy, b), abstract_batch(data, size=8))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype), abstract
    )
    assert_same_bits(init(toy, data), state)
    other = init(dataclasses.replace(toy, seed=1), data)
    assert not np.array_equal(
        other.params["model"]["dense"]["kernel"], state.params["model"]["dense"]["kernel"]
    )


def test_networks_of_one_kind_do_not_begin_alike():
    state = init(system(Toy(networks=("a", "b"))), batch())
    kernels = [state.params[name]["dense"]["kernel"] for name in ("a", "b")]
    assert not np.array_equal(*kernels)
    with_another = init(system(Toy(networks=("a", "b", "c"))), batch())
    assert_same_bits(with_another.params["a"], state.params["a"])


def test_collections_of_one_call_are_not_carried():
    state = init(system(networks={"model": Talkative()}), batch())
    assert set(state.mutable["model"]) == {"batch_stats"}


def test_a_network_without_parameters_takes_part():
    def terms(ctx, batch, key, update):
        gap = ctx.apply("model", batch["x"], mutable=["counts"])[0] - batch["y"]
        return {"gap": Term(jnp.square(gap) * ctx.apply("silent", jnp.ones(())))}, Aux()

    toy = system(Toy(terms, ("model", "silent")), networks={"model": Linear(), "silent": Silent()})
    (before, after), _ = run(toy, batch())
    assert set(after.params) == {"model"}
    assert not np.array_equal(
        after.params["model"]["dense"]["kernel"], before.params["model"]["dense"]["kernel"]
    )


def test_networks_that_the_objective_does_not_know_are_refused():
    toy = system(networks={"modle": Linear()})
    with pytest.raises(UserError, match=r"config\.networks: has modle; the objective uses model"):
        init(toy, batch())


def test_an_update_that_trains_nothing_is_refused():
    with pytest.raises(UserError, match=r"config\.updates\.main\.params: 'modle/\.\*' matches"):
        init(system(updates=one_update(params="modle/.*")), batch())


def test_averages_are_kept_of_what_trains_and_replace_it_for_sampling():
    updates = {"a": Update(optimiser=SGD, params="model/dense/kernel")}
    toy = system(updates=updates, ema=0.9)
    states, _ = run(toy, batch(), batch(seed=1))
    state = states[-1]
    assert set(state.ema) == set(trainable(toy, state.params)) == {"model/dense/kernel"}
    dense = state.params["model"]["dense"]
    ctx = context(toy, state)
    assert_same_bits(ctx.params, state.params)
    sampled = sampling_context(toy, state).params["model"]["dense"]
    assert_same_bits(sampled["kernel"], state.ema["model/dense/kernel"])
    assert_same_bits(sampled["bias"], dense["bias"])
    assert not np.array_equal(sampled["kernel"], dense["kernel"])
    assert_same_bits(averaged(state.params, {}), state.params)


def test_a_fresh_state_may_be_donated():
    toy, data = system(ema=0.9), batch()
    state = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)(init(toy, data))
    assert int(state.step) == 1
