"""The smooth absolute error of all channels or of some."""

import dataclasses

import optax

from mmjax.objectives.base import Context
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Smooth:
    """Squared within a distance of 1 and absolute beyond (Huber 1964; Girshick 2015, eq. 3).

    Attributes:
      weight: factor of its mean in the loss.
      channels: the first that counts, and the first after it that does not; 0 for no end.
    """

    weight: float = 1.0
    channels: tuple[int, int] = (0, 0)

    def inputs(self, values: Array) -> dict[str, tuple]:
        """No network."""
        return {}

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, "B ..."]:
        """The error of each value."""
        first, end = self.channels
        kept = slice(first, end or None)
        return optax.huber_loss(made[..., kept], real[..., kept])
