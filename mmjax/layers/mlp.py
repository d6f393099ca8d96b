"""The feed-forward half of a transformer block."""

from collections.abc import Callable

import flax.linen as nn
import jax

from mmjax.typing import Array, Float

ACTIVATIONS: dict[str, Callable] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
}


class Mlp(nn.Module):
    """Linear, activation, linear.

    Attributes:
      hidden: channels between the two maps.
      activation: a key of ``ACTIVATIONS``.
      dtype: type of the computation; parameters stay float32.
    """

    hidden: int
    activation: str = "gelu_tanh"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "*P D"]) -> Float[Array, "*P D"]:
        """The transformed ``x``, same shape."""
        init = nn.initializers.xavier_uniform()
        y = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=init, name="up")(x)
        y = ACTIVATIONS[self.activation](y)
        return nn.Dense(x.shape[-1], dtype=self.dtype, kernel_init=init, name="down")(y)
