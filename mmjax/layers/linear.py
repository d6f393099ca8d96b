"""The linear map of every block, with its gradient written out for the speed of a CPU."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.typing import Array, Float


class Linear(nn.Module):
    """``x @ kernel + bias``, with the parameters of ``nn.Dense``.

    Attributes:
      features: channels of the result.
      dtype: type of the computation; parameters stay float32.
      higher_order: leave the derivative to JAX, see :func:`mmjax.layers.attention.attention`.
    """

    features: int
    dtype: str = "float32"
    higher_order: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*P D"]) -> Float[Array, "*P O"]:
        """The mapped ``x``."""
        init = nn.initializers.xavier_uniform()
        kernel = self.param("kernel", init, (x.shape[-1], self.features)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        product = jnp.matmul if self.higher_order else _product
        return product(x.astype(self.dtype), kernel) + bias


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
    """``x [*P, D]`` times ``kernel [D, O]``.

    The gradient of the kernel that JAX derives is made transposed, and XLA for CPUs then copies the
    incoming gradient to transpose it before the product: a tenth of a training step.
    """
    return jnp.matmul(x, kernel)


def _forward(x: Array, kernel: Array):
    return jnp.matmul(x, kernel), (x, kernel)


def _backward(saved, gradient: Array):
    x, kernel = saved
    rows = gradient.reshape(-1, gradient.shape[-1])
    grad_x = jax.lax.dot_general(rows, kernel, (((1,), (1,)), ((), ())))
    inputs = x.reshape(-1, x.shape[-1])
    grad_kernel = jax.lax.dot_general(inputs, rows, (((0,), (0,)), ((), ())))
    return grad_x.reshape(x.shape), grad_kernel


_product.defvjp(_forward, _backward)


def settled(x: Array) -> Array:
    """``x``, which on a CPU is written to memory as it is.

    XLA otherwise moves a transpose into the matrix product beside it, where it costs more than by
    itself.
    """
    return jax.lax.platform_dependent(x, cpu=jax.lax.optimization_barrier, default=lambda x: x)
