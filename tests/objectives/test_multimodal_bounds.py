"""Products, mixtures, bounds and their gradients against closed forms of a linear-Gaussian model.

z ~ N(0, 1), x | z ~ N(SLOPE z, NOISE^2): the evidence and the exact posterior are known.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.objectives import multimodal_bounds as bounds

SLOPE, NOISE, X = 1.5, 0.7, 1.2
EVIDENCE = -0.5 * (X**2 / (SLOPE**2 + NOISE**2) + math.log(2 * math.pi * (SLOPE**2 + NOISE**2)))
PRECISION = 1 + SLOPE**2 / NOISE**2
EXACT = (SLOPE * X / NOISE**2 / PRECISION, -math.log(PRECISION))
KEY = jax.random.key(0)


def normal(mean, logvar, copies=1):
    """A posterior over one latent, ``copies`` times over."""
    one = jnp.ones((copies, 1))
    return DiagonalNormal(mean * one, logvar * one)


def log_normal(x, mean, sigma):
    return -0.5 * (((x - mean) / sigma) ** 2 + math.log(2 * math.pi)) - jnp.log(sigma)


def log_joint(latents, slope=SLOPE):
    return (log_normal(latents, 0.0, 1.0) + log_normal(X, slope * latents, NOISE))[..., 0]


@functools.partial(jax.jit, static_argnames=("estimator", "draws", "copies"))
def bound(estimator, draws, *moments, slope=SLOPE, copies=1):
    posteriors = [normal(*pair, copies) for pair in moments]
    joint = functools.partial(log_joint, slope=slope)
    return bounds.evidence(posteriors, joint, KEY, draws=draws, estimator=estimator)


def test_a_product_of_experts_is_the_product_of_densities():
    grid = np.linspace(-8, 8, 4001)
    moments = [(0.3, -1.0), (-1.1, 0.4), (2.0, 0.1)]
    density = np.exp(-(grid**2) / 2)
    for mean, logvar in moments:
        density = density * np.exp(-((grid - mean) ** 2) / (2 * np.exp(logvar)))
    density /= density.sum()
    mean = (grid * density).sum()
    variance = ((grid - mean) ** 2 * density).sum()
    first, *others = [normal(*pair) for pair in moments]
    found = first.product(*others)
    np.testing.assert_allclose(found.mean, [[mean]], rtol=1e-4)
    np.testing.assert_allclose(jnp.exp(found.logvar), [[variance]], rtol=1e-4)


def test_an_expert_that_knows_nothing_leaves_the_product_as_it_is():
    known, ignorant = normal(0.4, -0.8), normal(3.0, 60.0)
    found, alone = known.product(ignorant), known.product()
    np.testing.assert_allclose(found.mean, alone.mean, rtol=1e-6)
    np.testing.assert_allclose(found.logvar, alone.logvar, rtol=1e-6)
    assert float(alone.logvar[0, 0]) < -0.8, "the prior is among the experts"


def test_density_and_divergence():
    grid = jnp.linspace(-12, 12, 8001)[:, None, None]
    one, other = normal(0.5, -0.6), normal(-0.4, 0.5)
    density = np.asarray(one.log_density(grid), np.float64)
    step = 24 / 8000
    np.testing.assert_allclose(np.exp(density).sum() * step, 1.0, rtol=1e-5)
    for prior, given in ((other, other), (normal(0.0, 0.0), None)):
        against = np.asarray(prior.log_density(grid), np.float64)
        nats = (np.exp(density) * (density - against)).sum() * step
        np.testing.assert_allclose(one.divergence(given), [[nats]], rtol=1e-4)


@pytest.mark.parametrize("estimator", bounds.ESTIMATORS)
def test_the_exact_posterior_gives_the_evidence_itself(estimator):
    np.testing.assert_allclose(bound(estimator, 5, EXACT, copies=4), EVIDENCE, rtol=1e-5)


def test_one_importance_sample_is_the_evidence_lower_bound():
    moments = ((0.2, -0.3), (0.9, -1.2))
    found = {name: bound(name, 1, *moments, copies=7) for name in bounds.ESTIMATORS}
    np.testing.assert_allclose(found["iwae"], found["elbo"], rtol=1e-6)
    np.testing.assert_allclose(found["dreg"], found["elbo"], rtol=1e-6)


def test_more_importance_samples_reach_the_evidence_from_below():
    found = [
        float(jnp.mean(bound("iwae", draws, (0.2, 0.3), copies=50_000 // draws)))
        for draws in (1, 10, 1000)
    ]
    assert found == sorted(found) and found[0] < EVIDENCE - 0.3
    np.testing.assert_allclose(found[-1], EVIDENCE, atol=0.02)
    elbo = EVIDENCE - float(normal(0.2, 0.3).divergence(normal(*EXACT))[0, 0])
    np.testing.assert_allclose(found[0], elbo, atol=0.1)


def mean_weight(mixture_of):
    """The mean importance weight under samples of both experts; p(x) if all is right."""
    experts = [normal(0.2, 0.3), normal(1.4, -0.9)]
    weights = []
    for index, expert in enumerate(experts):
        latents = expert.draw(jax.random.key(index), 30_000)
        weights.append(jnp.exp(log_joint(latents) - mixture_of(experts, latents)))
    return float(jnp.mean(jnp.stack(weights)))


def test_weights_under_the_mixture_average_to_the_evidence():
    assert mean_weight(bounds.log_mixture) == pytest.approx(math.exp(EVIDENCE), rel=0.01)


def test_that_average_notices_a_sum_in_place_of_the_mean_over_experts():
    def summed(experts, latents):
        return logsumexp(jnp.stack([q.log_density(latents)[..., 0] for q in experts]), axis=0)

    assert mean_weight(summed) == pytest.approx(math.exp(EVIDENCE) / 2, rel=0.01)


def gradients(estimator, draws, copies=1):
    """Of the mean bound, to the posterior's mean, its log variance, and the decoder's slope."""

    def mean_bound(parameters):
        mean, logvar, slope = parameters
        return jnp.mean(bound(estimator, draws, (mean, logvar), slope=slope, copies=copies))

    return np.asarray(jax.jit(jax.grad(mean_bound))(jnp.array([0.2, 0.3, SLOPE])))


def test_the_doubly_reparametrised_gradient_is_its_formula():
    """Tucker et al. 2018, eq. 8, written out for five samples."""
    mean, sigma = 0.2, math.exp(0.15)
    latents = np.asarray(
        normal(mean, 0.3).draw(jax.random.fold_in(KEY, 0), 5), np.float64
    )[:, 0, 0]  # fmt: skip
    noise, miss = (latents - mean) / sigma, (X - SLOPE * latents) / NOISE**2
    logs = -(latents**2) / 2 - (miss * NOISE) ** 2 / 2 + noise**2 / 2
    shares = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    pull = -latents + SLOPE * miss + noise / sigma  # of log w by z, q's parameters held
    expected = [
        (shares**2 * pull).sum(), (shares**2 * pull * noise * sigma / 2).sum(),
        (shares * miss * latents).sum(),
    ]  # fmt: skip
    np.testing.assert_allclose(gradients("dreg", 5), expected, rtol=1e-4)


def test_both_gradients_agree_in_expectation():
    found = gradients("dreg", 3, copies=100_000)
    np.testing.assert_allclose(found, gradients("iwae", 3, copies=100_000), atol=0.01)
    assert np.abs(found).min() > 0.05


def test_at_the_exact_posterior_only_the_doubly_reparametrised_gradient_is_still():
    """There the weights do not vary, so what is left of the other's is the posterior's score."""

    def largest(estimator):
        def mean_bound(moments):
            return jnp.mean(bound(estimator, 3, tuple(moments), copies=5))

        return np.abs(jax.jit(jax.grad(mean_bound))(jnp.array(EXACT))).max()

    assert largest("dreg") < 1e-5 and largest("iwae") > 0.05
