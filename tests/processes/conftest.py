"""Streams of bare values."""

import jax.numpy as jnp
import pytest

from mmjax.streams import Stream


@pytest.fixture
def make_stream():
    """``make_stream(values, discrete=False)``: the values as one clean stream, all visible."""

    def make_stream(values, discrete=False):
        values = jnp.asarray(values)
        grid = values.shape if discrete else values.shape[:-1]
        return Stream(
            values, jnp.zeros(grid[:1]), jnp.ones(grid, bool), jnp.zeros((*grid, 1), jnp.float32)
        )

    return make_stream
