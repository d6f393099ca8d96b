"""The Chamfer distance against NumPy, and what it does not depend on."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Context
from mmjax.objectives.chamfer import Chamfer

CTX = Context({}, {}, {}, {})
MADE, REAL = (np.random.default_rng(seed).normal(size=(2, n, 3)) for seed, n in ((0, 4), (1, 5)))


def distance(made, real):
    return Chamfer()(CTX, jnp.asarray(made, jnp.float32), jnp.asarray(real, jnp.float32))


def test_values():
    for found, made, real in zip(distance(MADE, REAL), MADE, REAL, strict=True):
        there = [min(sum((a - b) ** 2) for b in real) for a in made]
        back = [min(sum((a - b) ** 2) for a in made) for b in real]
        assert float(found) == pytest.approx(np.mean(there) + np.mean(back), rel=1e-5)


def test_the_order_of_points_and_of_clouds_means_nothing():
    found = distance(MADE, REAL)
    np.testing.assert_allclose(distance(MADE[:, ::-1], REAL), found, rtol=1e-5)
    np.testing.assert_allclose(distance(REAL, MADE), found, rtol=1e-5)
    np.testing.assert_allclose(distance(MADE, MADE[:, ::-1]), 0.0, atol=1e-6)
