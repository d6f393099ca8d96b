"""Signs as a codebook."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.quantisers.base import Quantised, check_size, straight_through
from mmjax.typing import Array, Bool, Float, Int


class LookupFree(nn.Module):
    """A vector's signs are its code (MAGVIT-2, Yu et al. 2024, 2310.05737, eq. 3-6).

    The losses ``entropy``, of each vector's soft choice among all codes, and ``diversity``, minus
    the entropy of the average choice, are computed over all ``2 ** bits`` codes.

    Attributes:
      bits: length of a vector; the first is the highest in a code.
      sharpness: factor of the logits ``2 x . code`` of the soft choice.
    """

    bits: int
    sharpness: float = 100.0

    @property
    def vocabulary(self) -> int:
        """The number of codes."""
        return 2**self.bits

    def __call__(
        self,
        x: Float[Array, "*P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
    ) -> Quantised:
        """Takes signs; vectors outside ``mask`` do not count in ``diversity``."""
        check_size(self, x, self.bits)
        positive = x > 0
        found = jnp.where(positive, 1.0, -1.0)
        codes = jnp.sum(positive * self._places, axis=-1).astype(jnp.int32)
        corners = self.lookup(jnp.arange(self.vocabulary))
        chances = jax.nn.softmax(2.0 * self.sharpness * (x @ corners.T), axis=-1)
        flat = chances.reshape(-1, self.vocabulary)
        weights = jnp.ones(len(flat)) if mask is None else mask.reshape(-1).astype(jnp.float32)
        average = weights @ flat / jnp.maximum(jnp.sum(weights), 1.0)
        losses = {
            "commitment": jnp.mean(jnp.square(x - found), axis=-1),
            "entropy": _entropy(chances),
            "diversity": -_entropy(average),
        }
        values = straight_through(x, found)
        return Quantised(x, values, codes, losses, vocabulary=self.vocabulary)

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The corners of the cube that these codes name."""
        return jnp.where((codes[..., None] & self._places) != 0, 1.0, -1.0)

    @property
    def _places(self) -> np.ndarray:
        return 2 ** np.arange(self.bits - 1, -1, -1, dtype=np.int32)


def _entropy(chances: Float[Array, "*P V"]) -> Float[Array, "*P"]:
    """In nats; chances below 1e-5 count as that much in the logarithm, whose slope ends there."""
    return -jnp.sum(chances * jnp.log(jnp.maximum(chances, 1e-5)), axis=-1)
