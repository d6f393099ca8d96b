"""A codebook of few dimensions and unit lengths between two projections."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import (
    Quantised,
    distance_losses,
    nearest,
    straight_through,
    unit,
)
from mmjax.typing import Array, Bool, Float, Int


class Factorised(nn.Module):
    """Factorised codes chosen by their angle (ViT-VQGAN, Yu et al. 2022, 2110.04627, section 3.2).

    Vectors are projected to ``size`` dimensions and compared with the entries at length 1 each.

    Attributes:
      vocabulary: entries of the codebook.
      size: numbers per entry; 8 in ViT-VQGAN's smaller variants, LlamaGen and DAC.
      features: length of the vectors that come and go.
      unit: whether projected vectors and entries also go on at length 1; DAC's do not.
    """

    vocabulary: int
    size: int
    features: int
    unit: bool = True

    def setup(self):
        """The codebook and the two projections."""
        init = nn.initializers.normal(1.0)
        self.codebook = self.param("codebook", init, (self.vocabulary, self.size))
        self.project = nn.Dense(self.size)
        self.unproject = nn.Dense(self.features)

    def __call__(
        self,
        x: Float[Array, "*P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
    ) -> Quantised:
        """Quantises; ``train`` and ``mask`` change nothing, for the losses are per vector."""
        inner = self.project(x)
        codes = nearest(unit(inner), unit(self.codebook))
        inner, found = unit(inner) if self.unit else inner, self._entries(codes)
        values = self.unproject(straight_through(inner, found))
        losses = distance_losses(inner, found)
        return Quantised(x, values, codes, losses, vocabulary=self.vocabulary)

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The vectors of these codes."""
        return self.unproject(self._entries(codes))

    def _entries(self, codes: Int[Array, "*P"]) -> Float[Array, "*P E"]:
        found = jnp.take(self.codebook, codes, axis=0)
        return unit(found) if self.unit else found
