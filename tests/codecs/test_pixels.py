"""Bytes to floats and back."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.pixels import Pixels
from mmjax.errors import UserError


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (1, 3, 4, 4, 1)])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0)])
def test_every_byte_survives(shape, bounds):
    codec = Pixels(*bounds)
    raw = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    values = codec.encode(jnp.asarray(raw))
    assert values.shape == (shape[0], *codec.grid(shape[1:]), codec.channels(shape[1:]))
    np.testing.assert_array_equal(np.rint(codec.decode(values)), raw)


def test_the_ends_of_the_range_are_exact():
    values = Pixels().encode(jnp.array([0, 255], jnp.uint8).reshape(2, 1, 1, 1))
    np.testing.assert_allclose(np.ravel(values), [-1, 1], atol=1e-6)


def test_an_empty_range_is_refused():
    with pytest.raises(UserError, match="high"):
        Pixels(low=1.0, high=1.0)


def test_channels_may_have_their_own_range():
    mean, deviation = np.array([0.5, 0.25]), np.array([0.5, 0.2])
    codec = Pixels(tuple(-mean / deviation), tuple((1 - mean) / deviation))
    raw = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 2), np.uint8)
    values = codec.encode(jnp.asarray(raw))
    np.testing.assert_allclose(values, (raw / 255 - mean) / deviation, atol=1e-5)
    np.testing.assert_array_equal(np.rint(codec.decode(values)), raw)
