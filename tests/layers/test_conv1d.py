"""Convolutions along time: what their kernels begin as."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.conv1d import Conv1d, ConvTranspose1d


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    ("layer", "summed"),
    # of a transposed one the outputs of an input, as public code counts
    [(Conv1d(64, 7), 7 * 24), (ConvTranspose1d(64, 8, 4), 8 * 64)],
)
def test_kernels_begin_evenly_within_one_over_the_root_of_what_is_summed(layer, summed, normalised):
    layer = layer.copy(normalised=normalised)
    params = layer.init(jax.random.key(0), jnp.zeros((1, 32, 24)))["params"]
    kernel = np.asarray(params["direction" if normalised else "kernel"])
    assert 0.95 < np.abs(kernel).max() * summed**0.5 <= 1
    assert kernel.std() * summed**0.5 == pytest.approx(3**-0.5, rel=0.05)
    if normalised:  # the product is the direction
        lengths = np.linalg.norm(kernel, axis=(0, 1))
        np.testing.assert_allclose(params["scale"][0, 0], lengths, rtol=1e-6)
    assert not params["bias"].any()
