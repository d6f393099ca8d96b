"""Rectified flow against its equations written out in NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.processes.flow import KINDS, Flow


@pytest.fixture
def clean(make_stream):
    return make_stream(np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32))


def test_values_lie_on_the_straight_path(clean):
    time = jnp.array([0.0, 0.25, 0.5, 1.0])
    noisy, target = Flow().corrupt(jax.random.key(1), clean, time)
    t = np.asarray(time)[:, None, None]
    expected = (1 - t) * np.asarray(clean.values) + t * np.asarray(target["noise"])
    np.testing.assert_allclose(noisy.values, expected, atol=1e-6)
    np.testing.assert_array_equal(noisy.values[0], clean.values[0])
    np.testing.assert_array_equal(noisy.values[3], target["noise"][3])
    np.testing.assert_array_equal(noisy.time, time)


def test_time_may_vary_by_frame(clean):
    time = jnp.tile(jnp.array([0.0, 0.5, 1.0]), (4, 1))
    noisy, target = Flow().corrupt(jax.random.key(1), clean, time)
    np.testing.assert_array_equal(noisy.values[:, 0], clean.values[:, 0])
    np.testing.assert_array_equal(noisy.values[:, 2], target["noise"][:, 2])
    assert Flow("clean").loss(clean.values, target, time).shape == (4, 3)


def test_white_data_keep_the_variance_of_the_path(make_stream):
    values = np.random.default_rng(0).normal(size=(8, 5000, 1)).astype(np.float32)
    time = jnp.linspace(0.0, 1.0, 8)
    noisy, _ = Flow().corrupt(jax.random.key(0), make_stream(values), time)
    expected = (1 - np.asarray(time)) ** 2 + np.asarray(time) ** 2
    np.testing.assert_allclose(np.var(noisy.values, axis=(1, 2)), expected, rtol=0.06)


@pytest.mark.parametrize("kind,space", list(itertools.product(KINDS, KINDS)))
def test_loss_is_the_squared_error_in_its_space(clean, kind, space):
    """Converts the prediction to ``space`` by hand, away from the clamped ends."""
    flow = Flow(kind, space)
    time = jnp.array([0.1, 0.4, 0.6, 0.9])
    noisy, target = flow.corrupt(jax.random.key(1), clean, time)
    prediction = np.random.default_rng(2).normal(size=(4, 3, 2)).astype(np.float32)
    x, e = np.asarray(clean.values), np.asarray(target["noise"])
    t, z = np.asarray(time)[:, None, None], np.asarray(noisy.values)
    to_clean = {
        "clean": prediction,
        "noise": (z - t * prediction) / (1 - t),
        "velocity": z - t * prediction,
    }[kind]
    to_noise = (z - (1 - t) * to_clean) / t
    found = {"clean": to_clean, "noise": to_noise, "velocity": to_noise - to_clean}[space]
    wanted = {"clean": x, "noise": e, "velocity": e - x}[space]
    expected = np.mean((found - wanted) ** 2, axis=-1)
    np.testing.assert_allclose(
        flow.loss(jnp.asarray(prediction), target, time), expected, rtol=2e-4
    )


def test_min_time_bounds_the_weight_of_a_clean_prediction():
    values = np.zeros((3, 1, 1), np.float32)
    target = {"clean": jnp.asarray(values), "noise": jnp.ones((3, 1, 1))}
    time = jnp.array([0.0, 0.05, 1.0])
    loss = Flow("clean", "velocity", min_time=0.05).loss(jnp.ones((3, 1, 1)), target, time)
    np.testing.assert_allclose(loss[:, 0], [400.0, 400.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("time", [1e-3, 0.02, 0.5, 0.9])
def test_the_true_prediction_gives_back_both_ends(clean, kind, time):
    """Also far below ``min_time``, which bounds the loss alone: last steps live there."""
    flow = Flow(kind)
    noisy, target = flow.corrupt(jax.random.key(1), clean, jnp.full((4,), time))
    ends = {**target, "velocity": target["noise"] - target["clean"]}
    found, noise = flow.estimate(ends[kind], noisy.values, jnp.asarray(time))
    np.testing.assert_allclose(found, target["clean"], atol=1e-4)
    np.testing.assert_allclose(noise, target["noise"], atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("time", [0.0, 1.0])
def test_estimates_are_finite_at_both_ends_of_time(clean, kind, time):
    found = Flow(kind).estimate(clean.values + 1.0, clean.values, jnp.asarray(time))
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize("fields", [{"prediction": "v"}, {"loss_space": "x"}, {"min_time": 0.0}])
def test_wrong_fields_are_refused(fields):
    with pytest.raises(ValueError, match="Flow."):
        Flow(**fields)
