"""Pixels as they are: the identity codec of images and video, up to range."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.typing import Array, Float, UInt8


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Maps bytes 0..255 linearly to ``[low, high]`` and back, for images and video alike.

    Attributes:
      low: what byte 0 becomes.
      high: what byte 255 becomes.
    """

    low: float = -1.0
    high: float = 1.0

    host: ClassVar[bool] = False
    vocabulary: ClassVar[None] = None

    def __post_init__(self):
        if self.high <= self.low:
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
        return jnp.asarray(pixels, jnp.float32) * ((self.high - self.low) / 255) + self.low

    def decode(self, values: Float[Array, "B *grid C"]) -> Float[Array, "B *grid C"]:
        """``[low, high]`` to floats on the scale 0..255, neither rounded nor clipped."""
        return (values - self.low) * (255 / (self.high - self.low))
