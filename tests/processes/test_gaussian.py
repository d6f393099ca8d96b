"""Variance-preserving diffusion against its equations written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.processes.gaussian import Gaussian, log_alpha_bar

KINDS = ("noise", "clean", "velocity")
SCHEDULES = ("linear", "scaled_linear", "cosine")


def betas(schedule):
    if schedule == "linear":
        return np.linspace(1e-4, 0.02, 1000)
    if schedule == "scaled_linear":
        return np.linspace(np.sqrt(0.00085), np.sqrt(0.012), 1000) ** 2
    f = [np.cos((n / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2 for n in range(1001)]
    return np.array([min(1 - f[n + 1] / f[n], 0.999) for n in range(1000)])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_schedule_is_the_cumulative_product(schedule):
    power = np.concatenate([[1.0], np.cumprod(1 - betas(schedule))])
    np.testing.assert_allclose(np.exp(log_alpha_bar(schedule, 1000)), power, rtol=1e-9)
    alpha, sigma = Gaussian(schedule_name=schedule).schedule(jnp.arange(1001) / 1000)
    np.testing.assert_allclose(alpha, np.sqrt(power), rtol=3e-5)
    np.testing.assert_allclose(sigma, np.sqrt(1 - power), rtol=1e-4)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1.0, atol=1e-6)


def test_power_is_interpolated_between_steps():
    alpha, _ = Gaussian().schedule(jnp.array([0.5, 0.5005, 0.501]))
    np.testing.assert_allclose(alpha[1] ** 2, alpha[0] * alpha[2], rtol=1e-5)


def test_a_shorter_clock_ends_at_about_the_same_noise():
    for steps in (10, 100):
        alpha, _ = Gaussian(steps=steps).schedule(jnp.ones(()))
        assert alpha < 0.02


def test_white_data_keep_unit_variance(make_stream):
    values = np.random.default_rng(0).normal(size=(8, 5000, 1)).astype(np.float32)
    noisy, _ = Gaussian().corrupt(jax.random.key(0), make_stream(values), jnp.linspace(0.0, 1.0, 8))
    np.testing.assert_allclose(np.var(noisy.values, axis=(1, 2)), 1.0, atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("time", [0.001, 0.3, 0.9])
def test_the_target_and_its_inverse(make_stream, kind, time):
    clean = make_stream(np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32))
    process = Gaussian(kind)
    noisy, target = process.corrupt(jax.random.key(1), clean, jnp.full((4,), time))
    power = np.prod(1 - betas("linear")[: round(time * 1000)])
    a, s = np.sqrt(power), np.sqrt(1 - power)
    x, z = np.asarray(clean.values), np.asarray(noisy.values)
    e = (z - a * x) / s
    expected = {"clean": x, "noise": e, "velocity": a * e - s * x}[kind]
    np.testing.assert_allclose(target["target"], expected, atol=1e-3)
    found, noise = process.estimate(target["target"], noisy.values, jnp.asarray(time))
    np.testing.assert_allclose(found, x, atol=1e-4)
    np.testing.assert_allclose(noise, e, atol=1e-3)
    loss = process.loss(target["target"] + 2.0, target, noisy.time)
    np.testing.assert_allclose(loss, np.full((4, 3), 4.0), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("time", [0.0, 1.0])
def test_estimates_are_finite_at_both_ends_of_time(kind, schedule, time):
    found = Gaussian(kind, schedule).estimate(
        jnp.ones((1, 2, 1)), jnp.zeros((1, 2, 1)), jnp.asarray(time)
    )
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize("fields", [{"prediction": "score"}, {"schedule_name": "line"}])
def test_wrong_fields_are_refused(fields):
    with pytest.raises(ValueError, match="Gaussian."):
        Gaussian(**fields)
