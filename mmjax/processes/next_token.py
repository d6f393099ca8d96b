"""Autoregression over integer codes."""

import dataclasses

import jax.numpy as jnp
import optax

from mmjax.streams import Stream
from mmjax.typing import Array, Float, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class NextToken:
    """p(x) = prod p(x_n | x_<n): the network sees the codes shifted by one and predicts each.

    Attributes:
      begin: the code at position 0 of the network's input.
      label_smoothing: mass spread evenly over the vocabulary (Szegedy et al. 1512.00567).
    """

    begin: int = 0
    label_smoothing: float = 0.0
    generative = True
    continuous = False

    def shift(self, values: Array) -> Array:
        """The codes moved right by one along the last axis, ``begin`` first."""
        first = jnp.full_like(values[..., :1], self.begin)
        return jnp.concatenate([first, values[..., :-1]], axis=-1)

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, Array]:
        """Teacher forcing: the shifted codes as input and the codes as target."""
        return clean.replace(values=self.shift(clean.values)), clean.values

    def loss(self, prediction: Array, target: Array, time: Array) -> Float[Array, "B *grid"]:
        """Cross-entropy in nats per code, in float32."""
        logits = prediction.astype(jnp.float32)
        if not self.label_smoothing:
            return optax.softmax_cross_entropy_with_integer_labels(logits, target)
        labels = optax.smooth_labels(
            jnp.eye(logits.shape[-1], dtype=jnp.float32)[target], self.label_smoothing
        )
        return optax.softmax_cross_entropy(logits, labels)
