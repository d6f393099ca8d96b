"""What the second stage takes over, what it begins anew, and what stays frozen to the bit."""

import jax
import numpy as np
import pytest

from mmjax.config import plain
from mmjax.training.stages import begin_after, expand
from mmjax.training.step import make_step
from mmjax.training.system import build
from tests.contracts.toys.two_stages import get_config
from tests.harness import assert_all_differ, assert_same_bits, begin

BATCH = {"x": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)}


@pytest.fixture(scope="module")
def states():
    """The last state of the first stage, and the first and last of the second."""
    first, second = expand(get_config())
    system = build(first.config)
    step, state = begin(system, BATCH)
    for _ in range(system.train.steps):
        state, _ = step(state, BATCH)
    system = build(second.config)
    started = begin_after(system, BATCH, state, second.init_copy)
    # The first stage's arrays are still needed here, so that copies must have been made.
    step, last = jax.jit(make_step(system), donate_argnums=0), jax.tree.map(np.array, started)
    for _ in range(system.train.steps):
        last, _ = step(last, BATCH)
    return state, started, last


def test_the_stages_configs():
    first, second = expand(get_config())
    assert (first.name, second.name) == ("learn", "connect")
    assert [stage.config["train"]["steps"] for stage in (first, second)] == [3, 2]
    assert first.config["networks"] == plain(get_config())["networks"]
    assert set(second.config["networks"]) == {"encoder", "connector", "student"}
    assert second.config["updates"]["all"]["optimiser"]["schedule"] == {"peak": 0.1}
    assert first.config["seed"] != second.config["seed"]


def test_the_second_stage_takes_over_and_copies_and_begins_the_rest_anew(states):
    learned, started, _ = states
    assert_same_bits(started.params["encoder"], learned.params["encoder"])
    assert_same_bits(started.params["student"], learned.params["decoder"])
    assert set(started.params) == {"encoder", "connector", "student"}
    assert started.params["connector"]["kernel"].shape == (2, 2)
    assert started.step == 0 and set(started.opt) == {"all"}


def test_the_frozen_encoder_keeps_every_bit_and_has_no_moments_and_no_average(states):
    learned, started, last = states
    assert last.step == 2
    assert_same_bits(last.params["encoder"], learned.params["encoder"])
    assert_all_differ(last.params["student"], started.params["student"])
    assert_all_differ(last.params["connector"], started.params["connector"])
    trained = {f"{name}/{leaf}" for name in ("connector", "student") for leaf in ("kernel", "bias")}
    assert set(last.ema) == trained
    moments = [leaf for leaf in jax.tree.leaves(last.opt) if leaf.ndim]
    assert len(moments) == 2 * len(trained)
