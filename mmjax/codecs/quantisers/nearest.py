"""A codebook that gradients move."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import (
    Quantised,
    distance_losses,
    nearest,
    straight_through,
    unit,
)
from mmjax.typing import Array, Bool, Float, Int


class Nearest(nn.Module):
    """The nearest vector of a learned codebook (van den Oord et al. 2017, 1711.00937, eq. 1-3).

    Attributes:
      vocabulary: entries of the codebook.
      size: length of a vector.
      unit: whether a decoder reads the entries at length 1, as Janus' does.
    """

    vocabulary: int
    size: int
    unit: bool = False

    def setup(self):
        """The codebook, evenly drawn within ``1 / vocabulary`` as VQ-GAN's authors do."""

        def init(key, shape):
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) / self.vocabulary

        self.codebook = self.param("codebook", init, (self.vocabulary, self.size))

    def __call__(
        self,
        x: Float[Array, "*P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
    ) -> Quantised:
        """Quantises; ``train`` and ``mask`` change nothing, for the losses are per vector."""
        codes = nearest(x, self.codebook)
        losses = distance_losses(x, jnp.take(self.codebook, codes, axis=0))
        return Quantised(
            x, straight_through(x, self.lookup(codes)), codes, losses, vocabulary=self.vocabulary
        )

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The vectors of these codes."""
        found = jnp.take(self.codebook, codes, axis=0)
        return unit(found) if self.unit else found
