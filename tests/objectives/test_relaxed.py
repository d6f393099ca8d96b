"""DALL-E's bound against NumPy, and what is annealed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.dvae import DVAE
from mmjax.codecs.pixels import Pixels
from mmjax.errors import UserError
from mmjax.objectives.base import Context, Request
from mmjax.objectives.relaxed import Annealed, Relaxed
from mmjax.processes.clean import Clean
from mmjax.processes.likelihood import Likelihood
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)}
CODEC = DVAE(channels=1, width=4, blocks=1, vocabulary=6, size=3)


def spec(process):
    return StreamSpec(
        "image", "image", (8, 8), 1, None, ("height", "width"), np.zeros((8, 8, 2), np.float32),
        codec=Pixels(0.1, 0.9), process=process,
    )  # fmt: skip


SPECS = {"image": spec(Likelihood("logit_laplace"))}
GAME = Relaxed(SPECS, Annealed(1.0, 0.0625, 100), Annealed(0.0, 6.6, 10))


@pytest.fixture(scope="module")
def ctx():
    variables = jax.jit(CODEC.init)(KEY, SPECS["image"].encode(BATCH).values)
    params = {"autoencoder": variables["params"]}
    return Context({"autoencoder": CODEC}, params, params, {}, step=5)


def test_annealing_follows_half_a_cosine():
    falls = Annealed(1.0, 0.0625, 100)
    found = [float(falls.at(step)) for step in (0, 25, 50, 100, 500)]
    shares = (1 + np.cos(np.pi * np.array([0, 0.25, 0.5, 1, 1]))) / 2
    np.testing.assert_allclose(found, 0.0625 + 0.9375 * shares, atol=1e-6)
    with pytest.raises(ValueError, match="at least 1"):
        Annealed(0.0, 1.0, 0)


def test_terms_are_the_published_bound(ctx):
    terms, aux = jax.jit(lambda: GAME.terms(ctx, GAME.prepare(ctx, BATCH, KEY), KEY, "all"))()
    values = jnp.asarray(0.1 + 0.8 * BATCH["image"] / 255, jnp.float32)
    found = jax.jit(lambda: ctx.apply("autoencoder", values, method="encode"))()
    shares = np.exp(np.float64(found.mean))
    shares /= shares.sum(-1, keepdims=True)
    expected = (shares * np.log(6 * shares)).sum(-1)
    np.testing.assert_allclose(terms["divergence"].values, expected, rtol=1e-3, atol=1e-6)
    assert float(terms["divergence"].weight) == pytest.approx(3.3 / 64, rel=1e-5)
    assert terms["image"].values.shape == (3, 8, 8) and terms["image"].weight == 1.0
    assert float(aux.metrics["temperature"]) == pytest.approx(GAME.temperature.at(5))


def test_sample_gives_back_what_is_given(ctx):
    given = SPECS["image"].encode(BATCH)
    request = Request({"image": given}, ("image",), 3)
    found = jax.jit(lambda: GAME.sample(ctx, request, KEY)["image"])().values
    made = jax.jit(lambda: ctx.apply("autoencoder", given.values))()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-made[..., :1])), rtol=1e-4)
    with pytest.raises(UserError, match="give it 'image'"):
        GAME.sample(ctx, Request({}, ("image",), 3), KEY)
    with pytest.raises(UserError, match="must be a Likelihood"):
        Relaxed({"image": spec(Clean())}, GAME.temperature, GAME.divergence)
