import jax
import jax.numpy as jnp
import numpy as np

from mmjax.layers.modulation import Modulation, Spread, modulate
from mmjax.layers.norm import Norm, layer_norm, rms_norm


def test_times_per_frame_and_per_clip_reach_their_tokens():
    spread = Spread((((2, 1), (2, 3)), ((1,), (2,))))
    x = jnp.array([[[10.0], [20.0], [30.0]]])
    np.testing.assert_array_equal(spread(x)[0, :, 0], [10, 10, 10, 20, 20, 20, 30, 30])


def test_one_time_is_left_to_broadcasting():
    assert Spread((((1, 1), (4, 4)),))(jnp.ones((2, 1, 3))).shape == (2, 1, 3)


def test_modulation_starts_at_zero_and_runs_on_distinct_times_only():
    module = Modulation(6, Spread((((2, 1), (2, 64)),)))
    condition = jax.random.normal(jax.random.key(0), (3, 2, 8))
    variables = module.init(jax.random.key(1), condition)
    assert all(
        np.all(x == 0) and x.shape == (3, 128, 8) for x in module.apply(variables, condition)
    )
    jaxpr = str(jax.make_jaxpr(module.apply)(variables, condition))
    products = [line for line in jaxpr.splitlines() if "dot_general" in line]
    assert len(products) == 1 and "f32[3,2,48]" in products[0]


def test_modulate():
    x = jnp.arange(4.0)[None, :, None]
    shift, scale = jnp.full((1, 1, 1), 5.0), 2.0 + 0 * x
    np.testing.assert_array_equal(modulate(x, shift, scale), 3 * x + 5)


def test_norms_against_numpy():
    x = np.asarray(jax.random.normal(jax.random.key(0), (3, 16))) * 4 + 1
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(layer_norm(jnp.asarray(x)), expected, atol=1e-5)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(rms_norm(jnp.asarray(x)), expected, atol=1e-5)
    affine = {"params": {"scale": np.full(16, 2.0), "bias": np.full(16, 0.5)}}
    np.testing.assert_allclose(
        Norm("layer").apply(affine, jnp.asarray(x)), 2 * layer_norm(jnp.asarray(x)) + 0.5, atol=1e-6
    )
