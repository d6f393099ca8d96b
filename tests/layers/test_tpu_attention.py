"""The kernels' arithmetic, interpreted on a CPU, against the plain form."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.layers.attention import attention
from mmjax.layers.tpu_attention import attend, suits


def test_values_and_gradients_are_those_of_the_plain_form():
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = ((2, 200, 4, 32), (2, 150, 2, 32), (2, 150, 2, 32), (2, 200, 4, 32))
    *given, weights = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
    mask = (jnp.arange(150) < jnp.array([[120], [0]]))[:, None, None]  # the second sees nothing

    def gradient(function):
        def loss(given):
            out = function(*given, mask)
            return (out * weights).sum(), out

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(given)

    (_, want), wanted = gradient(attention)
    (_, got), found = gradient(lambda *x: attend(*x, interpret=True))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert not got[1].any()
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_only_long_sequences_on_tpus_are_suited():
    long = jax.ShapeDtypeStruct((1, 2048, 1, 128), jnp.float32)
    assert not suits(long, long, None)  # this is a CPU
