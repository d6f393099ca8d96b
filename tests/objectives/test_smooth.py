"""The smooth error against its two branches."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Context
from mmjax.objectives.smooth import Smooth

RNG = np.random.default_rng(0)
MADE, REAL = 2 * RNG.normal(size=(2, 2, 3, 8)).astype(np.float32)


@pytest.mark.parametrize("channels", [(0, 0), (2, 5)])
def test_values(channels):
    found = Smooth(channels=channels)(Context({}, {}, {}, {}), jnp.asarray(MADE), jnp.asarray(REAL))
    distance = np.abs(MADE - REAL)[..., channels[0] : channels[1] or None]
    expected = np.where(distance < 1, distance**2 / 2, distance - 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (
        (distance < 1).any() and (distance > 1).any() and Smooth().inputs(jnp.asarray(MADE)) == {}
    )
