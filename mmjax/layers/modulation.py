"""Adaptive normalisation: shift, scale, gate from a condition (adaLN-Zero, Peebles and Xie 2023).

The condition is kept compact, one vector for each *distinct* time (one a clip, or one a frame), and
only the finished shifts, scales and gates are spread over the tokens: the map from ``D`` to ``6 D``
never runs once per token unless every token has a time of its own.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Spread:
    """How the distinct times of consecutive streams spread over their tokens.

    Attributes:
      parts: for each stream its time grid and its token grid, of equal rank; time axes of length 1
        do not vary, such as ``((4, 1, 1), (4, 8, 8))`` for a time per frame.
      padding: tokens without content that follow on them.
    """

    parts: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    padding: int = 0

    def __call__(self, x: Float[Array, "B F D"]) -> Float[Array, "B N D"]:
        """``x`` for every token; ``[B, 1, D]``, left to broadcasting, where one time rules all."""
        if x.shape[1] == 1:
            return x
        pieces, start = [], 0
        for times, grid in self.parts:
            count = math.prod(times)
            piece = x[:, start : start + count].reshape(x.shape[0], *times, x.shape[-1])
            piece = jnp.broadcast_to(piece, (x.shape[0], *grid, x.shape[-1]))
            pieces.append(piece.reshape(x.shape[0], math.prod(grid), x.shape[-1]))
            start += count
        return jnp.pad(jnp.concatenate(pieces, axis=1), ((0, 0), (0, self.padding), (0, 0)))


class Modulation(nn.Module):
    """``count`` vectors for every token from the condition: SiLU, then a linear map begun at 0.

    Attributes:
      count: number of vectors (6 in a block: shift, scale, gate for attention and for the MLP).
      spread: from distinct times to tokens.
      dtype: type of the computation.
    """

    count: int
    spread: Spread
    dtype: str = "float32"

    @nn.compact
    def __call__(self, condition: Float[Array, "B F D"]) -> list[jax.Array]:
        """``count`` arrays ``[B, N, D]`` or ``[B, 1, D]``."""
        linear = nn.Dense(
            self.count * condition.shape[-1],
            dtype=self.dtype,
            kernel_init=nn.initializers.zeros,
            name="linear",
        )
        return [self.spread(x) for x in jnp.split(linear(nn.silu(condition)), self.count, axis=-1)]


def modulate(
    x: Float[Array, "B N D"], shift: Float[Array, "B ... D"], scale: Float[Array, "B ... D"]
) -> Float[Array, "B N D"]:
    """``x * (1 + scale) + shift``."""
    return x * (1 + scale) + shift
