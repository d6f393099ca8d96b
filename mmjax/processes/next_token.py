"""Autoregression over integer codes."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from mmjax.streams import Stream
from mmjax.typing import Array, Float, Int, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class NextToken:
    """p(x) = prod p(x_n | x_<n): the network sees the codes shifted by one and predicts each.

    The order runs along the first grid axis; codes at one index of it, such as those of parallel
    codebooks ``[B, N, K]``, are predicted together.

    Attributes:
      begin: the code at index 0 of the network's input.
      label_smoothing: mass spread evenly over the vocabulary (Szegedy et al. 1512.00567).
    """

    begin: int = 0
    label_smoothing: float = 0.0

    generative: ClassVar[bool] = True
    continuous: ClassVar[bool] = False

    def shift(self, values: Int[Array, "B N *rest"]) -> Int[Array, "B N *rest"]:
        """The codes moved one on along the first grid axis, ``begin`` first."""
        first = jnp.full_like(values[:, :1], self.begin)
        return jnp.concatenate([first, values[:, :-1]], axis=1)

    def observe(self, clean: Stream) -> Stream:
        """The shifted codes, as in training: the last code is not read."""
        return clean.replace(values=self.shift(clean.values))

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, Array]:
        """Teacher forcing: the shifted codes as input and the codes as target."""
        return self.observe(clean), clean.values

    def loss(self, prediction: Array, target: Array, time: Array) -> Float[Array, "B *grid"]:
        """Cross-entropy in nats per code, in float32."""
        logits = prediction.astype(jnp.float32)
        if not self.label_smoothing:
            return optax.softmax_cross_entropy_with_integer_labels(logits, target)
        labels = jax.nn.one_hot(target, logits.shape[-1])
        return optax.softmax_cross_entropy(
            logits, optax.smooth_labels(labels, self.label_smoothing)
        )
