"""The layout by example, its loss by hand, and cached decoding against full forward passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Request
from mmjax.processes.next_token import NextToken
from mmjax.samplers.autoregressive import Autoregressive
from mmjax.training.state import context
from tests.contracts.network import Tokens, make_spec
from tests.contracts.toys.delay import Delay, Delayed
from tests.harness import make_system, mean, run

EMPTY = 4
CODEC = Delay(steps=5, codebooks=3, empty=EMPTY)
SPEC = make_spec("codes", (7, 3), NextToken(begin=EMPTY), vocabulary=5, codec=CODEC)
NETWORK = Tokens({"codes": 5})
CODES = np.random.default_rng(0).integers(0, EMPTY, (4, 5, 3)).astype(np.int32)


@pytest.fixture(scope="module")
def system():
    return make_system(
        Delayed({"codes": SPEC}), {"denoiser": NETWORK},
        sampler=Autoregressive(temperature=0.0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(system):
    return run(system, *[{"codes": CODES}] * 3)


@jax.jit
def logits(params, codes):
    """A full forward pass, without a cache."""
    stream = SPEC.process.observe(SPEC.make(codes))
    return NETWORK.apply({"params": params["denoiser"]}, {"codes": stream})["codes"].values


def test_the_layout():
    codes = np.arange(1, 7).reshape(1, 3, 2)
    laid = Delay(steps=3, codebooks=2, empty=0).encode(jnp.asarray(codes))
    np.testing.assert_array_equal(laid[0].T, [[1, 3, 5, 0], [0, 2, 4, 6]])
    np.testing.assert_array_equal(CODEC.decode(CODEC.encode(jnp.asarray(CODES))), CODES)


def test_the_loss_counts_the_filled_slots_alone(trained):
    states, logged = trained
    laid = CODEC.encode(jnp.asarray(CODES))
    likelihood = jax.nn.log_softmax(logits(states[-2].params, laid))
    chosen = np.take_along_axis(np.asarray(likelihood), np.asarray(laid)[..., None], -1)[..., 0]
    filled = np.asarray(laid) != EMPTY
    assert filled.sum() == CODES.size < filled.size
    assert mean(logged, "loss/codes") == pytest.approx(-chosen[filled].mean(), rel=1e-5)


def test_cached_decoding_equals_full_forward_passes(system, trained):
    state = trained[0][-1]
    request = Request(given={}, want=("codes",), batch=2)
    sample = jax.jit(lambda key: system.objective.sample(context(system, state), request, key))
    found = sample(jax.random.key(1))["codes"].values
    empty = CODEC.encode(jnp.zeros((2, 5, 3), jnp.int32)) == EMPTY
    codes = jnp.full((2, 7, 3), EMPTY)
    for index in range(7):
        likeliest = logits(state.params, codes)[:, index].argmax(-1)
        codes = codes.at[:, index].set(jnp.where(empty[:, index], EMPTY, likeliest))
    np.testing.assert_array_equal(found, codes)
    assert CODEC.decode(found).shape == (2, 5, 3)
    free = logits(state.params, codes).argmax(-1)
    assert (free != codes).any(), "holding the empty slots must have made a difference"


def test_pieces_of_any_size_through_the_cache_give_the_same_logits(system, trained):
    state, laid = trained[0][-1], CODEC.encode(jnp.asarray(CODES))
    stream = SPEC.process.observe(SPEC.make(laid))
    model = system.objective.model(context(system, state))
    cache, found = model.cache({"codes": stream}), []
    for start, end in ((0, 1), (1, 4), (4, 7)):
        piece = jax.tree.map(lambda x, s=start, e=end: x[:, s:e] if x.ndim > 1 else x, stream)
        predicted, cache = model.decode({"codes": piece}, cache)
        found.append(predicted["codes"])
    expected = logits(state.params, laid)
    np.testing.assert_allclose(jnp.concatenate(found, 1), expected, rtol=1e-5, atol=1e-5)
