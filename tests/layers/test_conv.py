"""Convolutional blocks: resolutions, where padding goes, shortcuts only where widths differ."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.layers.conv import Downsample, ResidualBlock, Upsample, repeat_pixels


def test_repeat_pixels_is_nearest_neighbour():
    x = jnp.arange(2 * 3 * 2 * 2, dtype=jnp.float32).reshape(2, 3, 2, 2)
    expected = np.repeat(np.repeat(np.asarray(x), 2, axis=1), 2, axis=2)
    np.testing.assert_array_equal(repeat_pixels(x), expected)


def test_downsample_pads_below_and_right_only():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 1))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 1, 1))
    found = Downsample().apply({"params": {"conv": {"kernel": kernel, "bias": jnp.ones(1)}}}, x)
    padded = np.pad(np.asarray(x)[0, :, :, 0], ((0, 1), (0, 1)))
    for row in range(2):
        for column in range(2):
            window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected = np.sum(window * np.asarray(kernel)[:, :, 0, 0]) + 1
            np.testing.assert_allclose(found[0, row, column, 0], expected, rtol=1e-5)


def test_upsample_keeps_a_constant_away_from_the_edges():
    x = jnp.ones((1, 3, 3, 2))
    variables = Upsample().init(jax.random.key(0), x)
    y = np.asarray(Upsample().apply(variables, x))
    assert y.shape == (1, 6, 6, 2)
    np.testing.assert_allclose(y[0, 1:-1, 1:-1], np.broadcast_to(y[0, 2, 2], (4, 4, 2)), rtol=1e-5)


def test_residual_block_adds_to_its_input():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 8))
    same, wider = ResidualBlock(8, groups=4), ResidualBlock(12, groups=4)
    variables = jax.jit(same.init)(jax.random.key(1), x)
    assert "shortcut" not in variables["params"]
    assert "shortcut" in jax.eval_shape(wider.init, jax.random.key(1), x)["params"]
    silent = variables["params"] | {
        "conv_2": jax.tree.map(jnp.zeros_like, variables["params"]["conv_2"])
    }
    np.testing.assert_array_equal(same.apply({"params": silent}, x), x)
