"""The kernels' arithmetic, interpreted on a CPU, against the plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.attention import attention
from mmjax.layers.tpu_attention import attend, suits


@pytest.mark.parametrize("causal", [False, True])
def test_values_and_gradients_are_those_of_the_plain_form(causal):
    keys, length = jax.random.split(jax.random.key(0), 4), 200 if causal else 150
    shapes = ((2, 200, 4, 32), (2, length, 2, 32), (2, length, 2, 32), (2, 200, 4, 32))
    *given, weights = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
    place = jnp.arange(length)
    # the first example's early queries see nothing where attention is causal, the second's never
    mask = jnp.stack([(place > 20) & (place < 120), place < 0])[:, None, None]

    def gradient(function):
        def loss(given):
            out = function(*given, mask, causal=causal)
            return (out * weights).sum(), out

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(given)

    (_, want), wanted = gradient(attention)
    (_, got), found = gradient(lambda *x, **how: attend(*x, **how, interpret=True))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert not got[1].any() and got[0, :21].any() != causal
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_long_sequences_on_tpus_are_suited():
    long = jnp.zeros((1, 2048, 1, 8))
    assert not suits(long, long, None)  # this is a CPU
    tpu = jax.sharding.AbstractDevice("TPU v5 lite", 1, "tpu")
    mesh = jax.sharding.AbstractMesh((1,), ("data",), abstract_device=tpu)
    with jax.sharding.use_abstract_mesh(mesh):
        assert suits(long, long, jnp.ones((1, 1, 1, 2048), bool))
        assert not suits(long[:, :64], long, None)
        assert not suits(long, long, jnp.ones((1, 1, 2048, 2048), bool))
