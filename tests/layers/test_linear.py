import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.linear import Linear, settled
from mmjax.layers.mlp import ACTIVATIONS, Mlp


@pytest.mark.parametrize("higher_order", [False, True])
def test_value_and_gradients_against_numpy(higher_order):
    keys = jax.random.split(jax.random.key(0), 2)
    x, weights = jax.random.normal(keys[0], (2, 3, 4)), jax.random.normal(keys[1], (2, 3, 5))
    module = Linear(5, higher_order=higher_order)
    params = module.init(jax.random.key(1), x)["params"] | {"bias": jnp.arange(5.0)}
    out = module.apply({"params": params}, x)
    kernel = np.asarray(params["kernel"])
    np.testing.assert_allclose(out, np.asarray(x) @ kernel + np.arange(5.0), atol=1e-6)

    def loss(params, x):
        return jnp.sum(module.apply({"params": params}, x) * weights)

    grads, grad_x = jax.grad(loss, argnums=(0, 1))(params, x)
    rows, targets = np.asarray(x).reshape(6, 4), np.asarray(weights).reshape(6, 5)
    np.testing.assert_allclose(grads["kernel"], rows.T @ targets, atol=1e-5)
    np.testing.assert_allclose(grads["bias"], targets.sum(0), atol=1e-5)
    np.testing.assert_allclose(grad_x, np.asarray(weights) @ kernel.T, atol=1e-5)


def test_second_derivatives_need_higher_order():
    x = jnp.ones((3, 4))
    variables = Mlp(8).init(jax.random.key(0), x)
    _, tangent = jax.jvp(lambda x: Mlp(8, higher_order=True).apply(variables, x), (x,), (x,))
    assert np.isfinite(tangent).all()
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: Mlp(8).apply(variables, x), (x,), (x,))


def test_half_precision_keeps_float32_parameters():
    module = Linear(5, dtype="bfloat16")
    x = jnp.ones((3, 4))
    params = module.init(jax.random.key(0), x)["params"]
    assert module.apply({"params": params}, x).dtype == jnp.bfloat16
    grads = jax.grad(lambda p: module.apply({"params": p}, x).sum().astype(jnp.float32))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, grads))} == {jnp.dtype("float32")}


def test_settled_is_the_identity():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(jax.jit(settled)(x.T), x.T)


def test_activations_at_known_points():
    expected = {"gelu": 0.841345, "gelu_tanh": 0.841192, "quick_gelu": 0.845796, "silu": 0.731059}
    assert {k: float(ACTIVATIONS[k](1.0)) for k in ACTIVATIONS} == pytest.approx(expected, abs=1e-6)
