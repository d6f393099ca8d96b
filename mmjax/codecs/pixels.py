"""Pixels as they are: the identity codec of images and video, up to range."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Array, Float, UInt8


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Maps bytes 0..255 linearly to ``[low, high]`` and back, for images and video alike.

    Attributes:
      low: what byte 0 becomes, for all channels or for each; a model that was published with
        images minus a mean over a deviation has ``-mean / deviation`` here.
      high: what byte 255 becomes; ``(1 - mean) / deviation`` there.
    """

    low: float | tuple[float, ...] = -1.0
    high: float | tuple[float, ...] = 1.0

    host: ClassVar[bool] = False
    vocabulary: ClassVar[None] = None

    def __post_init__(self):
        if not np.all(np.greater(self.high, self.low)):
            raise UserError(f"Pixels: high={self.high} must exceed low={self.low}")

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of ``(*grid, channels)`` that hold pixels: (H, W) or (T, H, W)."""
        return tuple(raw_shape[:-1])

    def channels(self, raw_shape: tuple[int, ...]) -> int:
        """The channels of ``(*grid, channels)``."""
        return raw_shape[-1]

    def encode(
        self, pixels: UInt8[Array, "B *grid C"] | Float[Array, "B *grid C"]
    ) -> Float[Array, "B *grid C"]:
        """Bytes (or floats on the scale 0..255) to ``[low, high]``."""
        return jnp.asarray(pixels, jnp.float32) * self._step + jnp.asarray(self.low, jnp.float32)

    def decode(self, values: Float[Array, "B *grid C"]) -> Float[Array, "B *grid C"]:
        """``[low, high]`` to floats on the scale 0..255, neither rounded nor clipped."""
        return (values - jnp.asarray(self.low, jnp.float32)) / self._step

    @property
    def _step(self) -> Float[Array, "..."]:
        """The value of one grey level."""
        return jnp.asarray(np.subtract(self.high, self.low) / 255, jnp.float32)
