import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.stack import REMAT, Stack


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x, shift):
        return x + nn.tanh(nn.Dense(x.shape[-1])(x) + shift)


def run(params, x, shift, **options):
    block_inputs = options.pop("block_inputs", None)
    stack = Stack(Layer, 3, **options)
    return stack.apply({"params": params}, x, shift, block_inputs=block_inputs)


@pytest.fixture
def case():
    x, shift = jax.random.normal(jax.random.key(0), (2, 4)), jnp.full((4,), 0.3)
    return Stack(Layer, 3).init(jax.random.key(1), x, shift)["params"], x, shift


def test_parameters_have_a_leading_layer_axis_and_differ(case):
    kernel = case[0]["Dense_0"]["kernel"]
    assert kernel.shape == (3, 4, 4)
    assert np.abs(kernel[0] - kernel[1]).min() > 0


@pytest.mark.parametrize("remat", REMAT)
@pytest.mark.parametrize("unroll", [1, 2, 3])
def test_however_it_runs_it_computes_the_same(case, unroll, remat):
    params, x, shift = case
    expected = x
    for i in range(3):
        layer = jax.tree.map(lambda p, i=i: p[i], params)
        expected = Layer().apply({"params": layer}, expected, shift)
    out = run(params, x, shift, unroll=unroll, remat=remat)
    np.testing.assert_allclose(out, expected, atol=1e-6)

    def loss(params, **options):
        return jnp.sum(run(params, x, shift, **options) ** 2)

    gradient = jax.grad(loss)(params, unroll=unroll, remat=remat)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient, jax.grad(loss)(params)
    )


def test_block_inputs_are_added_and_outputs_can_be_read(case):
    params, x, shift = case
    extra = jax.random.normal(jax.random.key(2), (3, 2, 4))
    out = run(params, x, shift, block_inputs=extra)
    expected, outputs = x, []
    for i in range(3):
        layer = jax.tree.map(lambda p, i=i: p[i], params)
        expected = Layer().apply({"params": layer}, expected, shift) + extra[i]
        outputs.append(expected)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    _, hidden = Stack(Layer, 3).apply(
        {"params": params}, x, shift, block_inputs=extra, mutable=["hidden"]
    )
    np.testing.assert_allclose(hidden["hidden"]["output"], jnp.stack(outputs), atol=1e-6)


def test_unknown_remat_is_refused(case):
    with pytest.raises(ValueError, match="remat 'some' is none of"):
        run(*case, remat="some")
