"""A network and its parameters as samplers see them."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.objectives.base import Context
from mmjax.streams import Stream
from mmjax.typing import Array, Tree


@dataclasses.dataclass(frozen=True)
class NetworkModel:
    """A network over streams as a :class:`mmjax.samplers.base.Model`.

    Attributes:
      ctx: holds the parameters.
      network: the network's name.
    """

    ctx: Context
    network: str

    def __call__(self, streams: Mapping[str, Stream]) -> dict[str, Array]:
        """The predicted values by stream."""
        return _values(self.ctx.apply(self.network, streams))

    def cache(self, streams: Mapping[str, Stream]) -> Tree:
        """The network's ``cache`` collection sized for ``streams``, all zeros: empty."""
        network = self.ctx.networks[self.network]
        shapes = jax.eval_shape(
            lambda: network.init(jax.random.key(0), streams, decode=True)["cache"]
        )
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def decode(self, streams: Mapping[str, Stream], cache: Tree) -> tuple[dict[str, Array], Tree]:
        """Predictions for ``streams`` after what the cache holds, and the cache after them."""
        collections = {**self.ctx.mutable.get(self.network, {}), "cache": cache}
        ctx = dataclasses.replace(self.ctx, mutable={**self.ctx.mutable, self.network: collections})
        predicted, changed = ctx.apply(self.network, streams, decode=True, mutable=["cache"])
        return _values(predicted), changed["cache"]


def _values(predicted: Mapping[str, Stream]) -> dict[str, Array]:
    return {name: stream.values for name, stream in predicted.items()}
