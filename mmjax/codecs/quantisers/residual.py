"""Quantisers in a row, each on what the ones before it have left."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import Quantised, straight_through
from mmjax.typing import Array, Bool, Float, Int

RANDOM = "codes"


class Residual(nn.Module):
    """Residual vector quantisation (SoundStream, Zeghidour et al. 2021, 2107.03312, algorithm 1).

    In training an example keeps all levels or, with probability ``dropout``, the first ``n`` with
    ``n`` even in ``1 .. levels`` (ibid., section III-C; the share is DAC's), drawn with the random
    stream ``codes``. Dropped levels have code -1 and no loss.

    Attributes:
      quantiser: the quantiser of every level, each with a codebook of its own.
      levels: how many.
      dropout: the probability with which an example loses levels in training.
      chained: whether the gradient goes through each level and what it leaves to the next, as it
        must where levels project (DAC). Else the sum's gradient is the input's, and each level's
        losses have the gradient of its own input.
    """

    quantiser: Any
    levels: int
    dropout: float = 0.0
    chained: bool = False

    def setup(self):
        """A quantiser for each level."""
        self.level = [self.quantiser.copy() for _ in range(self.levels)]

    def __call__(
        self,
        x: Float[Array, "B *P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "B *P"] | None = None,
        kept: Int[Array, "B"] | None = None,
    ) -> Quantised:
        """Quantises.

        Args:
          x: the vectors.
          train: whether levels are dropped and codebooks move.
          mask: which vectors train the quantisers.
          kept: levels per example; the default is drawn in training, else all.

        Returns:
          The sum of the levels, codes ``[B, *P, Q]`` and each loss ``[B, *P]`` as its sum over the
          levels.
        """
        if kept is None:
            kept = self._draw(len(x)) if train and self.dropout else jnp.full(len(x), self.levels)
        kept = kept.reshape(-1, *(1,) * (x.ndim - 2))
        left, values, codes, losses = x, jnp.zeros_like(x), [], {}
        for index, quantiser in enumerate(self.level):
            used = jnp.broadcast_to(index < kept, x.shape[:-1])
            chosen = used if mask is None else used & mask
            found = quantiser(left, train=train, mask=chosen)
            step = jnp.where(used[..., None], found.values, 0.0)
            left = left - (step if self.chained else jax.lax.stop_gradient(step))
            values = values + step
            codes.append(jnp.where(used, found.codes, -1))
            for name, loss in found.losses.items():
                losses[name] = losses.get(name, 0.0) + jnp.where(used, loss, 0.0)
        if not self.chained:
            values = straight_through(x, values)
        return Quantised(x, values, jnp.stack(codes, axis=-1), losses, vocabulary=found.vocabulary)

    def lookup(self, codes: Int[Array, "*P Q"]) -> Float[Array, "*P D"]:
        """The sums of the levels' vectors; code -1 and levels that are not there add nothing."""
        total = 0.0
        for index in range(codes.shape[-1]):
            code = codes[..., index]
            found = self.level[index].lookup(jnp.maximum(code, 0))
            total = total + jnp.where((code >= 0)[..., None], found, 0.0)
        return total

    def _draw(self, batch: int) -> Int[Array, "B"]:
        chance, count = jax.random.split(self.make_rng(RANDOM))
        drops = jax.random.bernoulli(chance, self.dropout, (batch,))
        kept = jax.random.randint(count, (batch,), 1, self.levels + 1)
        return jnp.where(drops, kept, self.levels)
