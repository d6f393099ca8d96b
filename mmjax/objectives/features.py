"""Feature matching: what a critic's layers find in a reconstruction and in the real thing."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.objectives.base import Context
from mmjax.objectives.critic import CRITIC
from mmjax.typing import Array, Float

_EPS = 1e-5


@dataclasses.dataclass(frozen=True)
class FeatureMatching:
    """Mean absolute differences of a critic's activations, summed over its layers and judges.

    Kumar et al. 2019 (1910.06711), equation 3; logits are left out.

    Attributes:
      relative: whether each difference is divided by the mean size of the real activations, and
        the sum by the number of layers (EnCodec; Defossez et al. 2022, 2210.13438, eq. 2).
      weight: factor of its mean in the loss.
    """

    relative: bool = False
    weight: float = 1.0

    def inputs(self, values: Array) -> dict[str, tuple]:
        """The critic."""
        return {CRITIC: (values,)}

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, " B"]:
        """The difference of each example, whose only gradient is that of ``made``."""
        found, wanted = self._activations(ctx, made), self._activations(ctx, real)
        total = jnp.zeros(len(made))
        for one, other in zip(found, jax.lax.stop_gradient(wanted), strict=True):
            apart = _mean(jnp.abs(one - other))
            if self.relative:
                apart = apart / (jnp.mean(jnp.abs(other)) + _EPS) / len(found)
            total += apart
        return total

    def _activations(self, ctx: Context, values: Array) -> list[Array]:
        collections = list(ctx.mutable.get(CRITIC, {}))
        verdicts, _ = ctx.apply(CRITIC, values, train=True, mutable=collections)
        return [layer for verdict in verdicts for layer in verdict[:-1]]


def _mean(values: Array) -> Float[Array, " B"]:
    return jnp.mean(values, axis=tuple(range(1, values.ndim)))
