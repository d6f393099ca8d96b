"""The feed-forward half of a transformer block."""

from collections.abc import Callable

import flax.linen as nn
import jax

from mmjax.layers.linear import Linear
from mmjax.sharding.constrain import constrain
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
      dtype, higher_order: see :class:`mmjax.layers.linear.Linear`.
    """

    hidden: int
    activation: str = "gelu_tanh"
    dtype: str = "float32"
    higher_order: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*P D"]) -> Float[Array, "*P D"]:
        """The transformed ``x``, same shape."""
        y = Linear(self.hidden, self.dtype, self.higher_order, name="up")(x)
        lead = ("batch", "tokens", *(None,) * y.ndim)[: y.ndim - 1]
        y = constrain(y, *lead, "hidden")
        y = ACTIVATIONS[self.activation](y)
        return Linear(x.shape[-1], self.dtype, self.higher_order, name="down")(y)
