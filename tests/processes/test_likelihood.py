"""Likelihoods against SciPy's densities, and what a decoder's output stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mmjax.processes.likelihood import Likelihood

RNG = np.random.default_rng(0)
OUTPUT = RNG.normal(size=(2, 3, 4)).astype(np.float32)
CHANCE = 1 / (1 + np.exp(-OUTPUT))


@pytest.mark.parametrize(
    ("family", "density"),
    [
        ("normal", lambda x: stats.norm(OUTPUT, 0.3).logpdf(x)),
        ("laplace", lambda x: stats.laplace(OUTPUT, 0.3).logpdf(x)),
        ("bernoulli", lambda x: x * np.log(CHANCE) + (1 - x) * np.log(1 - CHANCE)),
    ],
)
def test_values(family, density):
    process, target = Likelihood(family, 0.3), RNG.random((2, 3, 4), np.float32)
    found = process.loss(jnp.asarray(OUTPUT), jnp.asarray(target), jnp.zeros(2))
    np.testing.assert_allclose(found, -density(target).sum(-1), rtol=1e-4)
    expected = CHANCE if family == "bernoulli" else OUTPUT
    np.testing.assert_allclose(process.mode(jnp.asarray(OUTPUT)), expected, rtol=1e-5)


def test_logit_laplace_is_the_density_of_a_logistic_curve_of_laplace_numbers():
    process, target = Likelihood("logit_laplace"), RNG.uniform(0.1, 0.9, (2, 3, 2))
    location, scale = OUTPUT[..., :2], np.exp(OUTPUT[..., 2:])
    logit = np.log(target / (1 - target))
    expected = stats.laplace(location, scale).logpdf(logit) - np.log(target * (1 - target))
    found = process.loss(jnp.asarray(OUTPUT), jnp.asarray(target, jnp.float32), jnp.zeros(2))
    np.testing.assert_allclose(found, -expected.sum(-1), rtol=1e-4)
    median = process.mode(jnp.asarray(OUTPUT))
    np.testing.assert_allclose(median, 1 / (1 + np.exp(-location)), rtol=1e-5)
    grid = np.linspace(1e-4, 1 - 1e-4, 20_001)[:, None]  # it is a density: its integral is 1
    narrow = jnp.tile(jnp.asarray([[0.3, -0.5]]), (len(grid), 1))
    density = np.exp(-np.asarray(process.loss(narrow, jnp.asarray(grid), jnp.zeros(1)), np.float64))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-3)


def test_codes():
    process, target = Likelihood("categorical"), RNG.integers(0, 4, (2, 3))
    found = process.loss(jnp.asarray(OUTPUT), jnp.asarray(target), jnp.zeros(2))
    chances = np.exp(OUTPUT) / np.exp(OUTPUT).sum(-1, keepdims=True)
    picked = np.take_along_axis(chances, target[..., None], -1)[..., 0]
    np.testing.assert_allclose(found, -np.log(picked), rtol=1e-5)
    assert np.array_equal(process.mode(jnp.asarray(OUTPUT)), OUTPUT.argmax(-1))


def test_nothing_is_corrupted(make_stream):
    stream = make_stream(jnp.ones((2, 3, 1)))
    process = Likelihood("normal")
    seen, target = process.corrupt(jax.random.key(0), stream, jnp.ones(2))
    assert seen is stream and target is stream.values and process.observe(stream) is stream


@pytest.mark.parametrize(("fields", "named"), [(("cauchy",), "family"), (("normal", 0.0), "scale")])
def test_other_fields_are_refused(fields, named):
    with pytest.raises(ValueError, match=f"Likelihood.{named}"):
        Likelihood(*fields)
