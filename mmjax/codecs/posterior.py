"""What an encoder says about the latents of its input."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.tree import pytree
from mmjax.typing import Array, Float, PRNGKeyArray


@pytree
@dataclasses.dataclass(frozen=True)
class DiagonalNormal:
    """A normal distribution with independent coordinates.

    Attributes:
      mean: ``[B, *grid, Z]``.
      logvar: log variance, the same shape.
    """

    mean: Float[Array, "B *grid Z"]
    logvar: Float[Array, "B *grid Z"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "B *grid Z"]:
        """``mean + sigma * noise`` (Kingma & Welling 2013, section 2.4)."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.logvar) * noise

    def divergence(self) -> Float[Array, "B *grid Z"]:
        """KL divergence from the standard normal, per coordinate (ibid., appendix B)."""
        return 0.5 * (jnp.square(self.mean) + jnp.exp(self.logvar) - 1.0 - self.logvar)


@pytree
@dataclasses.dataclass(frozen=True)
class Deterministic:
    """Latents without spread, and without a penalty.

    Attributes:
      mean: ``[B, *grid, Z]``.
    """

    mean: Float[Array, "B *grid Z"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "B *grid Z"]:
        """The latents themselves."""
        return self.mean

    def divergence(self) -> Float[Array, "B *grid Z"]:
        """Zeros: nothing is said about where latents should be."""
        return jnp.zeros_like(self.mean)
