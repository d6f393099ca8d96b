"""What is made on one cache equals what full forward passes over all that came before give."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Request
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.next_token import NextToken
from mmjax.rng import named
from mmjax.samplers.base import scan
from mmjax.training.state import context
from mmjax.typing import Array, Params
from tests.contracts.network import Tokens, make_spec
from tests.contracts.toys.interleaved import Interleaved
from tests.harness import assert_all_differ, make_system, run

SPECS = {
    "before": make_spec("before", (3,), NextToken(), vocabulary=5),
    "noisy": make_spec("noisy", (4,), Flow(), field="picture", channels=2),
    "picture": make_spec("picture", (4,), Clean(), channels=2),
    "after": make_spec("after", (3,), NextToken(), vocabulary=5),
}
NETWORK = Tokens({"before": 5, "noisy": 2, "picture": 2, "after": 5}, unseen=("noisy",))


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "before": rng.integers(0, 5, (6, 3)).astype(np.int32),
        "picture": rng.normal(size=(6, 4, 2)).astype(np.float32),
        "after": rng.integers(0, 5, (6, 3)).astype(np.int32),
    }


@pytest.fixture(scope="module")
def system():
    return make_system(Interleaved(SPECS), {"denoiser": NETWORK})


@pytest.fixture(scope="module")
def trained(system):
    return run(system, *map(batch, range(4)))


@pytest.fixture(scope="module")
def sampled(system, trained):
    ctx = context(system, trained[0][-1])
    request = Request(given={}, want=("before", "noisy", "after"), batch=2)
    return jax.jit(lambda key: system.objective.sample(ctx, request, key))(jax.random.key(7))


@jax.jit
def forward(params, streams):
    """Predicted values by stream of one full pass, without a cache."""
    predicted = NETWORK.apply({"params": params["denoiser"]}, streams)
    return {name: stream.values for name, stream in predicted.items()}


def observed(**values):
    return {n: SPECS[n].process.observe(SPECS[n].make(jnp.asarray(v))) for n, v in values.items()}


@dataclasses.dataclass(frozen=True)
class Uncached:
    """The network as a model that sees all that came before again in each call."""

    params: Params
    before: Mapping[str, Array]

    def __call__(self, streams):
        return forward(self.params, {**observed(**self.before), **streams})


def written(params, name, **before):
    """The likeliest codes of a text, one full pass for each."""
    codes = jnp.zeros((2, 3), jnp.int32)
    for index in range(3):
        logits = forward(params, observed(**before, **{name: codes}))[name]
        codes = codes.at[:, index].set(logits[:, index].argmax(-1))
    return codes


def test_one_step_learns_text_and_picture_in_one_network(trained):
    states, logged = trained
    assert {"loss/before", "loss/noisy", "loss/after"} <= set(logged)
    assert "loss/picture" not in logged
    kernels = [{k: s.params["denoiser"][k] for k in ("q", "before_out", "noisy_out", "after_out")}
               for s in states[:2]]  # fmt: skip
    assert_all_differ(*kernels)


def test_the_first_text_is_that_of_full_passes(trained, sampled):
    expected = written(trained[0][-1].params, "before")
    np.testing.assert_array_equal(sampled["before"].values, expected)


def test_the_picture_is_restored_after_the_cached_text(system, trained, sampled):
    start = {"noisy": SPECS["noisy"].make(jnp.zeros((2, 4, 2)), time=jnp.ones(2))}
    key = named(jax.random.key(7), "noisy")

    def painted(**before):
        model, specs = Uncached(trained[0][-1].params, before), {"noisy": SPECS["noisy"]}
        return scan(system.objective.painter, model, specs, start, ("noisy",), key)["noisy"].values

    made = sampled["picture"].values
    expected = painted(before=sampled["before"].values)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(made - painted()).max() > 1e-3, "the text must have mattered"


def test_the_second_text_comes_after_the_first_and_the_clean_picture(trained, sampled):
    params = trained[0][-1].params
    known = {name: sampled[name].values for name in ("before", "picture")}
    after = sampled["after"].values
    np.testing.assert_array_equal(after, written(params, "after", **known))
    logits = forward(params, observed(**known, after=after))["after"]
    for name in known:
        others = {other: value for other, value in known.items() if other != name}
        without = forward(params, observed(**others, after=after))["after"]
        assert np.abs(logits - without).max() > 1e-3, f"{name} must have mattered"


def test_a_learned_text_never_sees_the_noisy_picture(trained):
    params, streams = trained[0][-1].params, observed(**batch())
    noise = jax.random.normal(jax.random.key(0), (6, 4, 2))
    with_noise = {**streams, "noisy": SPECS["noisy"].make(noise, time=jnp.ones(6))}
    expected = forward(params, streams)["after"]
    np.testing.assert_allclose(forward(params, with_noise)["after"], expected, atol=1e-5)
