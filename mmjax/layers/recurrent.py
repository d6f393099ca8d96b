"""Recurrence over time."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.layers.causal_conv import CACHE, keeps
from mmjax.typing import Array, Float

_STATE = "state"


class Lstm(nn.Module):
    """A long short-term memory as wide as its input (Hochreiter & Schmidhuber 1997; Gers 2000).

    Gates lie in the order input, forget, cell, output. Of a chunk, the last state is left in the
    collection ``cache`` for the next.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The hidden state after each step."""
        batch, _, width = x.shape
        limit = width**-0.5

        def draw(key, shape):
            return jax.random.uniform(key, shape, minval=-limit, maxval=limit)

        gates = x @ self.param("input", draw, (width, 4 * width))
        gates += self.param("input_bias", draw, (4 * width,))
        gates += self.param("recurrent_bias", draw, (4 * width,))
        recurrent = jnp.asarray(self.param("recurrent", draw, (width, 4 * width)))

        def step(state, gates):
            hidden, cell = state
            take, keep, new, give = jnp.split(gates + hidden @ recurrent, 4, axis=-1)
            cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(take) * jnp.tanh(new)
            hidden = jax.nn.sigmoid(give) * jnp.tanh(cell)
            return (hidden, cell), hidden

        state = (jnp.zeros((batch, width), x.dtype),) * 2
        if self.has_variable(CACHE, _STATE):
            state = self.get_variable(CACHE, _STATE)
        state, hidden = jax.lax.scan(step, state, gates.swapaxes(0, 1))
        if keeps(self):
            self.put_variable(CACHE, _STATE, state)
        return hidden.swapaxes(0, 1)
