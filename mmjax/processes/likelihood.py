"""What a decoder gives in one go, and how far the data may lie from it."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from mmjax.processes.base import check_choice
from mmjax.streams import Stream
from mmjax.typing import Array, Float, PRNGKeyArray

FAMILIES = ("normal", "laplace", "logit_laplace", "bernoulli", "categorical")


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """The distribution p(x | z) of a stream's values around a network's output.

    The stream is never corrupted: latents that stand for all of it are decoded at once.

    Attributes:
      family: ``"normal"`` or ``"laplace"`` around the output; ``"logit_laplace"`` for values within
        0 and 1, from twice as many numbers: locations of their logits, then the logarithms of
        diversities (Ramesh et al. 2021, 2102.12092, appendix A.3); ``"bernoulli"`` for values from
        0 to 1 whose logits the output is; ``"categorical"`` for codes, from logits over the
        vocabulary.
      scale: standard deviation of the normal, diversity of the Laplace distribution.
    """

    family: str
    scale: float = 1.0

    generative: ClassVar[bool] = True
    continuous: ClassVar[bool] = False

    def __post_init__(self):
        check_choice("Likelihood", "family", self.family, FAMILIES)
        if self.scale <= 0.0:
            raise ValueError(f"Likelihood.scale must be above 0, not {self.scale}")

    def observe(self, clean: Stream) -> Stream:
        """The stream itself."""
        return clean

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, Array]:
        """The stream itself, and its values as target."""
        return clean, clean.values

    def loss(self, prediction: Array, target: Array, time: Array) -> Float[Array, "B *grid"]:
        """``-log p(target | prediction)`` in nats per grid point, summed over channels."""
        prediction = prediction.astype(jnp.float32)
        if self.family == "categorical":
            return optax.softmax_cross_entropy_with_integer_labels(prediction, target)
        if self.family == "bernoulli":
            return jnp.sum(optax.sigmoid_binary_cross_entropy(prediction, target), axis=-1)
        if self.family == "logit_laplace":
            return jnp.sum(_logit_laplace(prediction, target), axis=-1)
        distance = jnp.abs(target - prediction) / self.scale
        if self.family == "laplace":
            return jnp.sum(distance + math.log(2.0 * self.scale), axis=-1)
        constant = 0.5 * math.log(2.0 * math.pi) + math.log(self.scale)
        return jnp.sum(0.5 * jnp.square(distance) + constant, axis=-1)

    def mode(self, prediction: Array) -> Array:
        """The likeliest values; where these may be 0 or 1 whatever the output, others.

        Of a Bernoulli distribution the mean, of a logit-Laplace distribution the median.
        """
        if self.family == "categorical":
            return jnp.argmax(prediction, axis=-1).astype(jnp.int32)
        if self.family == "logit_laplace":
            return jax.nn.sigmoid(jnp.split(prediction, 2, axis=-1)[0])
        return jax.nn.sigmoid(prediction) if self.family == "bernoulli" else prediction


def _logit_laplace(prediction: Array, target: Array) -> Array:
    """``-log p`` of each value, eq. 2 of the appendix."""
    location, log_scale = jnp.split(prediction, 2, axis=-1)
    logit = jnp.log(target) - jnp.log1p(-target)
    density = jnp.abs(logit - location) * jnp.exp(-log_scale) + log_scale + math.log(2.0)
    return density + jnp.log(target) + jnp.log1p(-target)
