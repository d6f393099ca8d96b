"""Latents and codes that are not made of raw values here, but declared: where they lie, how many.

Latents come with the batch, made beforehand by an autoencoder that the system does not hold; codes
are made by a network that it does.
"""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Array, Float


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
        return _cells(self, raw_shape)

    def channels(self, raw_shape: tuple[int, ...]) -> int:
        """The channels of the latents."""
        return self.features

    def encode(self, values: Array) -> Array:
        """Raises UserError: raw values cannot be encoded here."""
        raise UserError("the batch holds raw media, no latents; make them with mmjax data cache")

    def decode(self, values: Array) -> Array:
        """Raises UserError: latents are decoded by the autoencoder that made them."""
        raise UserError("latents cannot be decoded here; use the autoencoder that made them")


@dataclasses.dataclass(frozen=True)
class Codes:
    """Declares codes that a network of the system makes, one after the other in reading order.

    Attributes:
      strides: raw grid points per code along each axis.
      vocabulary: how many codes there are to choose from.
    """

    strides: tuple[int, ...]
    vocabulary: int

    host: ClassVar[bool] = False

    def __post_init__(self):
        if not self.strides or min(self.strides) < 1 or self.vocabulary < 1:
            raise UserError(f"Codes: strides={self.strides} and vocabulary={self.vocabulary} >= 1")

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of codes; UserError if strides do not fit the raw axes."""
        return (math.prod(_cells(self, raw_shape)),)

    def channels(self, raw_shape: tuple[int, ...]) -> None:
        """None: a code is one integer."""

    def positions(self, modality: Any) -> Float[np.ndarray, "N A"]:
        """Where each code lies, in the units of the modality's axes."""
        cells = _cells(self, modality.spec().shape)
        return modality.positions(cells).reshape(-1, len(cells))

    def encode(self, values: Array) -> Array:
        """Raises UserError: only the network encodes."""
        raise UserError("codes are made by a network of this system; encode with that")

    def decode(self, values: Array) -> Array:
        """Raises UserError: only the network decodes."""
        raise UserError("codes are decoded by a network of this system; ask for what it decodes")


def _cells(codec: Latents | Codes, raw_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The grid of cells of ``(*grid, channels)``; UserError if strides do not fit."""
    raw, strides = tuple(raw_shape[:-1]), codec.strides
    if len(raw) != len(strides) or any(n % k for n, k in zip(raw, strides, strict=True)):
        name = type(codec).__name__
        raise UserError(f"{name}: strides {strides} do not divide the raw axes {raw}")
    return tuple(n // k for n, k in zip(raw, strides, strict=True))
