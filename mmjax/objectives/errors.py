"""How far a reconstruction is from what it should be: the parts of a codec's loss."""

import dataclasses
from typing import Protocol, runtime_checkable

import jax.numpy as jnp

from mmjax.objectives.base import Context
from mmjax.typing import Array, Float


@runtime_checkable
class Error(Protocol):
    """A differentiable distance, unreduced.

    Attributes:
      weight: factor of its mean in the loss.
    """

    weight: float

    def inputs(self, values: Array) -> dict[str, tuple]:
        """The networks that it needs, each with arguments to initialise it."""

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, "B ..."]:
        """The distance of ``made`` from ``real``, which have one shape."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """What errors share that need no network.

    Attributes:
      weight: factor of its mean in the loss.
    """

    weight: float = 1.0

    def inputs(self, values: Array) -> dict[str, tuple]:
        """No network."""
        return {}


@dataclasses.dataclass(frozen=True)
class Absolute(Plain):
    """The absolute difference of each value."""

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, "B ..."]:
        """``|made - real|``."""
        return jnp.abs(made - real)


@dataclasses.dataclass(frozen=True)
class Squared(Plain):
    """The squared difference of each value."""

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, "B ..."]:
        """``(made - real) ** 2``."""
        return jnp.square(made - real)


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """The distance that a network of its own finds, which no update should train.

    Attributes:
      network: its name; called with both, it gives one number for each example.
      weight: factor of its mean in the loss.
    """

    network: str = "lpips"
    weight: float = 1.0

    def inputs(self, values: Array) -> dict[str, tuple]:
        """Two batches for the network."""
        return {self.network: (values, values)}

    def __call__(self, ctx: Context, made: Array, real: Array) -> Float[Array, " B"]:
        """``network(made, real)``."""
        return ctx.apply(self.network, made, real)
