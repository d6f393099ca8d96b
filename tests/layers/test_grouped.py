"""Depthwise convolutions as sums: equal to the operation, at half precision too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.grouped import DepthwiseConv


def operation(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", feature_group_count=x.shape[-1],
        dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest",
    )  # fmt: skip


@pytest.mark.parametrize("side", [3, 5])
def test_it_is_the_operation_and_so_is_its_gradient(side):
    keys = jax.random.split(jax.random.key(0), 3)
    x, module = jax.random.normal(keys[0], (2, 4, 7, 6)), DepthwiseConv(side)
    params = module.init(keys[1], x)["params"]
    params["bias"] = jax.random.normal(keys[2], (6,))

    def energy(convolve):
        return jax.grad(lambda kernel, x: jnp.sum(jnp.sin(convolve(kernel, x))), (0, 1))

    def ours(kernel, x):
        return module.apply({"params": params | {"kernel": kernel}}, x)

    def theirs(kernel, x):
        return operation(x, kernel) + params["bias"]

    np.testing.assert_allclose(
        ours(params["kernel"], x), theirs(params["kernel"], x), atol=1e-5, rtol=0
    )
    pairs = zip(energy(ours)(params["kernel"], x), energy(theirs)(params["kernel"], x), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_half_precision_is_summed_in_full():
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 16), jnp.bfloat16)
    module = DepthwiseConv(5, bias=False)
    variables = module.init(jax.random.key(1), x)
    found = module.apply(variables, x)
    exact = operation(x.astype(jnp.float32), variables["params"]["kernel"])
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))
