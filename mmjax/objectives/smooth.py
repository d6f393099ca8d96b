"""The smooth absolute error of all channels or of some."""

import dataclasses

import optax

from mmjax.objectives.base import Context
from mmjax.objectives.errors import Plain
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Smooth(Plain):
    """Squared within a distance of 1 and absolute beyond (Huber 1964; Girshick 2015, eq. 3).

    Attributes:
      channels: the first that counts, and the first after it that does not; 0 for no end.
    """

    channels: tuple[int, int] = (0, 0)

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, "B ..."]:
        """The error of each value."""
        first, end = self.channels
        kept = slice(first, end or None)
        return optax.huber_loss(made[..., kept], real[..., kept])
