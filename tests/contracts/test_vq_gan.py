"""The adaptive weight and the codebook against NumPy; who moves what."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from mmjax.training.system import Update
from tests.contracts.toys.vq_gan import VQGAN, Generator
from tests.harness import (
    ADAM,
    SGD,
    assert_all_differ,
    assert_near,
    assert_same_bits,
    make_system,
    run,
)


def toy(optimiser=SGD):
    updates = {
        "generator": Update(optimiser=optimiser, params="generator/.*"),
        "critic": Update(optimiser=optimiser, order=1, params="critic/.*"),
    }
    return make_system(VQGAN(), {"generator": Generator(), "critic": nn.Dense(1)}, updates)


def batch(seed=0):
    return {"x": np.random.default_rng(seed).normal(size=(8, 4)).astype(np.float32)}


def forward(params, book, x):
    """Latents, which code each takes, and what the decoder reads."""
    z = x @ params["encoder"]["kernel"] + params["encoder"]["bias"]
    codes = book[:, 1:] / book[:, :1]
    code = np.square(z[:, None] - codes).sum(-1).argmin(-1)
    return z, code, codes[code]


@pytest.fixture(scope="module")
def states():
    return run(toy(), batch(), batch(1))[0]


def test_the_adaptive_weight_is_the_ratio_of_slopes_at_the_last_layer(states):
    before, after = jax.tree.map(np.asarray, states[0]), jax.tree.map(np.asarray, states[1])
    x, params = batch()["x"], before.params["generator"]
    _, _, quantised = forward(params, before.mutable["generator"]["codebook"]["stats"], x)
    kernel, critic = params["last"]["kernel"], before.params["critic"]["kernel"]
    sign = np.sign(quantised @ kernel - x)
    error_slope = quantised.T @ sign / x.size
    critique_slope = -quantised.T @ np.repeat(critic.T, len(x), 0) / len(x)
    weight = np.linalg.norm(error_slope) / (np.linalg.norm(critique_slope) + 1e-4)
    assert not 0.95 < weight < 1.05, "a weight of one would prove nothing"
    expected = kernel - 0.1 * (error_slope + weight * critique_slope)
    np.testing.assert_allclose(after.params["generator"]["last"]["kernel"], expected, atol=1e-5)


def test_the_codebook_follows_its_averages_and_only_the_generators_update_moves_it(states):
    before, after = jax.tree.map(np.asarray, states[0]), jax.tree.map(np.asarray, states[1])
    book = before.mutable["generator"]["codebook"]["stats"]
    z, code, _ = forward(before.params["generator"], book, batch()["x"])
    hits = np.eye(3)[code]
    expected = 0.9 * book + 0.1 * np.concatenate([hits.sum(0)[:, None], hits.T @ z], axis=1)
    # Twice would be the critic's pass as well, which sees the generator's new parameters.
    assert_near(after.mutable["generator"]["codebook"]["stats"], expected.astype(np.float32))


def test_both_players_train_and_the_codebook_has_no_optimiser_state(states):
    assert_all_differ(states[2].params, states[1].params)
    paths = {str(path) for path, _ in jax.tree_util.tree_leaves_with_path(states[0].opt)}
    assert not any("codebook" in path for path in paths)


def test_a_bad_batch_leaves_the_codebook_alone():
    spoiled = {"x": np.full((8, 4), np.nan, np.float32)}
    (_, good, held), _ = run(toy(ADAM), batch(), spoiled)
    assert_same_bits(held.mutable, good.mutable)
    assert_same_bits(held.params, good.params)
    assert_same_bits(held.opt, good.opt)
