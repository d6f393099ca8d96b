"""Two streams of one example agree more than those of two examples: contrastive learning."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Batch, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Contrastive(Objective):
    """Symmetric InfoNCE over the whole batch (CLIP; Radford et al. 2021, figure 3).

    The network maps streams to embeddings of unit length ``{stream: [B, E]}`` and the log of the
    scale of their products.

    Attributes:
      streams: the system's streams.
      pair: the two that are matched.
      network: the towers' name.
      max_scale: bound on the scale of the logits (ibid., section 2.5). Beyond it the gradient still
        flows, as it does where the parameter itself is cut back after each step.
    """

    streams: Mapping[str, StreamSpec]
    pair: tuple[str, str] = ("image", "text")
    network: str = "towers"
    max_scale: float = 100.0
    whole_batch = True

    def __post_init__(self):
        if missing := set(self.pair) - set(self.streams):
            raise UserError(
                f"Contrastive.pair: no stream named {', '.join(sorted(missing))}; "
                f"this system has {', '.join(self.streams)}"
            )

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The two streams."""
        return {self.network: (self._encode(batch),)}

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The two streams, encoded."""
        return {"streams": self._encode(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """Cross-entropy of finding the second stream's match for the first, and the reverse."""
        first, second = self.pair
        embeddings, log_scale = ctx.apply(self.network, batch["streams"])
        bounded = jnp.minimum(log_scale, math.log(self.max_scale))
        scale = jnp.exp(log_scale + jax.lax.stop_gradient(bounded - log_scale))
        logits = scale * embeddings[first] @ embeddings[second].T
        labels = jnp.arange(logits.shape[0])
        entropy = optax.softmax_cross_entropy_with_integer_labels
        found = jnp.mean(jnp.argmax(logits, axis=1) == labels)
        return {
            f"{first}_to_{second}": Term(entropy(logits, labels), weight=0.5),
            f"{second}_to_{first}": Term(entropy(logits.T, labels), weight=0.5),
        }, Aux(metrics={"retrieval": found, "scale": scale})

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """Raises UserError: towers compare, they do not generate."""
        raise UserError("contrastive towers compare streams; they generate nothing")

    def _encode(self, batch: Batch) -> dict[str, Stream]:
        return {name: self.streams[name].encode(batch) for name in self.pair}
