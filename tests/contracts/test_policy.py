"""One step is one rollout and four optimiser steps, each on its part, as written out here."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mmjax import tree
from mmjax.processes.next_token import NextToken
from mmjax.rng import named
from mmjax.samplers.autoregressive import Autoregressive
from mmjax.training.state import context
from mmjax.training.system import Update
from tests.contracts.network import Tokens, make_spec
from tests.contracts.toys.policy import GroupPolicy
from tests.harness import ADAM, assert_near, assert_same_bits, make_system, run

SPEC = make_spec("codes", (5,), NextToken(), vocabulary=3)
BATCH = {"x": jnp.zeros((16, 5), jnp.int32)}
KEY = named(jax.random.key(0), "step", 0)


@pytest.fixture(scope="module")
def system():
    updates = {"policy": Update(optimiser=ADAM, params="policy/.*", repeat=4)}
    networks = {name: Tokens({"codes": 3}) for name in ("policy", "reference")}
    return make_system(GroupPolicy(SPEC), networks, updates, sampler=Autoregressive())


@pytest.fixture(scope="module")
def states(system):
    return run(system, BATCH, BATCH)[0]


def prepared(system, state):
    """The rollout of a state, with the key of step 0."""
    prepare = jax.jit(lambda state, batch, key: (
        system.objective.prepare(context(system, state), batch, key)
    ))  # fmt: skip
    return prepare(state, BATCH, named(KEY, "prepare"))


def loss(system, state, policy, part):
    """The mean surrogate and penalty of one part, without the reducer."""
    ctx = context(system, state.replace(params={**state.params, "policy": policy}))
    objective = system.objective
    new = objective.log_likelihood(ctx, "policy", part["codes"])
    kept = objective.log_likelihood(ctx, "reference", part["codes"])
    ratio = jnp.exp(new - part["old"])
    worse = jnp.minimum(ratio, ratio.clip(0.8, 1.2))
    better = jnp.maximum(ratio, ratio.clip(0.8, 1.2))
    gain = part["gain"] * jnp.where(part["gain"] > 0, worse, better)
    return -gain.mean() + 0.04 * (jnp.exp(kept - new) - (kept - new) - 1).mean()


def test_four_steps_on_one_rollout(system, states):
    before, after, _ = states
    rollout = prepared(system, before)
    assert len(np.unique(rollout["codes"], axis=0)) > 4 and np.abs(rollout["gain"]).max() > 0.5
    policy, optimiser = before.params["policy"], ADAM.build()
    opt = optimiser.init(tree.flatten({"policy": policy}))
    slope = jax.jit(jax.grad(lambda policy, part: loss(system, before, policy, part)))
    for index in range(4):
        part = {k: v[4 * index : 4 * index + 4] for k, v in rollout.items()}
        gradient = slope(policy, part)
        flat = tree.flatten({"policy": policy})
        changes, opt = optimiser.update(tree.flatten({"policy": gradient}), opt, flat)
        policy = tree.unflatten(optax.apply_updates(flat, changes))["policy"]
    assert_near(after.params["policy"], policy, 2e-4)
    assert (
        optax.tree.get(after.opt["policy"], "mu").keys() == tree.flatten({"policy": policy}).keys()
    )
    counts = [int(leaf) for leaf in jax.tree.leaves(after.opt) if leaf.ndim == 0]
    assert counts and set(counts) == {4} and after.step == 1


def test_the_reference_keeps_every_bit(states):
    assert_same_bits(states[-1].params["reference"], states[0].params["reference"])


def test_the_next_step_rolls_out_the_new_policy(system, states):
    first, second = (prepared(system, state)["old"] for state in states[:2])
    assert np.abs(first - second).max() > 1e-2
