"""Latents made beforehand by an autoencoder that the system itself does not hold."""

import dataclasses
from typing import ClassVar

from mmjax.errors import UserError
from mmjax.typing import Array


@dataclasses.dataclass(frozen=True)
class Latents:
    """Declares the grid of latents that come with the batch, as the field ``<field>_latents``.

    Attributes:
      strides: raw grid points per latent along each axis.
      features: channels of the latents.
    """

    strides: tuple[int, ...]
    features: int

    host: ClassVar[bool] = False
    vocabulary: ClassVar[None] = None

    def __post_init__(self):
        if not self.strides or min(self.strides) < 1 or self.features < 1:
            raise UserError(f"Latents: strides={self.strides} and features={self.features} of >= 1")

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The latent grid of raw axes ``(*grid, channels)``; UserError if strides do not fit."""
        raw = tuple(raw_shape[:-1])
        if len(raw) != len(self.strides) or any(
            n % stride for n, stride in zip(raw, self.strides, strict=True)
        ):
            raise UserError(f"Latents: strides {self.strides} do not divide the raw axes {raw}")
        return tuple(n // stride for n, stride in zip(raw, self.strides, strict=True))

    def channels(self, raw_shape: tuple[int, ...]) -> int:
        """The channels of the latents."""
        return self.features

    def encode(self, values: Array) -> Array:
        """Raises UserError: raw values cannot be encoded here."""
        raise UserError("the batch holds raw media, no latents; make them with mmjax data cache")

    def decode(self, values: Array) -> Array:
        """Raises UserError: latents are decoded by the autoencoder that made them."""
        raise UserError("latents cannot be decoded here; use the autoencoder that made them")
