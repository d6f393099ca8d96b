"""What an encoder says about the latents of its input."""

import abc
import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.tree import pytree
from mmjax.typing import Array, Float, PRNGKeyArray


class Posterior(abc.ABC):
    """What the two kinds have in common: a codec's bottleneck, as objectives take it."""

    mean: Float[Array, "B *grid Z"]

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Float[Array, "B *grid Z"]:
        """Latents as probable as the distribution says."""

    @abc.abstractmethod
    def divergence(self) -> Float[Array, "B *grid Z"]:
        """How far each coordinate is from a standard normal one, in nats."""

    def read(self, key: PRNGKeyArray | None = None) -> tuple[Float[Array, "B *grid Z"]]:
        """What a decoder takes: a sample, without a key the mean."""
        return (self.mean if key is None else self.sample(key),)

    def penalties(self, count: int) -> Mapping[str, Float[Array, " B"]]:
        """The divergence of each example, divided by the ``count`` of its values before coding."""
        axes = tuple(range(1, self.mean.ndim))
        return {"divergence": jnp.sum(self.divergence(), axis=axes) / count}

    def use(self) -> Mapping[str, Float[Array, ""]]:
        """Nothing to log."""
        return {}


@pytree
@dataclasses.dataclass(frozen=True)
class DiagonalNormal(Posterior):
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

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, "K B *grid Z"]:
        """``count`` samples of each distribution."""
        noise = jax.random.normal(key, (count, *self.mean.shape), self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.logvar) * noise

    def log_density(self, values: Float[Array, "..."]) -> Float[Array, "..."]:
        """The log density at ``values``, per coordinate, in nats."""
        square = jnp.square(values - self.mean) * jnp.exp(-self.logvar)
        return -0.5 * (square + self.logvar + math.log(2.0 * math.pi))

    def divergence(self, other: "DiagonalNormal | None" = None) -> Float[Array, "B *grid Z"]:
        """KL divergence from ``other`` or the standard normal, per coordinate, in nats.

        Kingma & Welling 2013, appendix B, where both may have any mean and variance.
        """
        if other is None:
            return 0.5 * (jnp.square(self.mean) + jnp.exp(self.logvar) - 1.0 - self.logvar)
        ratio, shift = self.logvar - other.logvar, jnp.square(self.mean - other.mean)
        return 0.5 * (shift * jnp.exp(-other.logvar) + jnp.exp(ratio) - 1.0 - ratio)

    def product(self, *others: "DiagonalNormal") -> "DiagonalNormal":
        """The normalised product of the densities and of a standard normal.

        A product of experts with the prior among them (Wu & Goodman 2018, 1802.05335, section 2.2):
        precisions add up, means are averaged by them.
        """
        experts = (self, *others)
        precisions = [jnp.exp(-expert.logvar) for expert in experts]
        total = 1.0 + sum(precisions)
        weighed = sum(p * expert.mean for p, expert in zip(precisions, experts, strict=True))
        return DiagonalNormal(weighed / total, -jnp.log(total))


@pytree
@dataclasses.dataclass(frozen=True)
class Deterministic(Posterior):
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
