"""Rounding as a codebook."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.quantisers.base import Quantised, check_size
from mmjax.typing import Array, Bool, Float, Int


class FiniteScalar(nn.Module):
    """Each coordinate is bounded and rounded to a few levels (Mentzer et al. 2024, 2309.15505).

    Coordinate ``i`` takes ``levels[i]`` values in [-1, 1]; the first counts fastest in a code.

    Attributes:
      levels: values per coordinate, at least 3 each.
    """

    levels: tuple[int, ...]

    @property
    def vocabulary(self) -> int:
        """The number of codes."""
        return int(np.prod(self.levels))

    def __call__(
        self,
        x: Float[Array, "*P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
    ) -> Quantised:
        """Rounds (ibid., section 3.1 and appendix A); there is nothing to train and no loss."""
        check_size(self, x, len(self.levels))
        levels = np.asarray(self.levels)
        half = (levels - 1) * (1 + 1e-3) / 2  # a little wide, so that the outer levels are reached
        offset = np.where(levels % 2 == 0, 0.5, 0.0)
        bounded = jnp.tanh(x + np.arctanh(offset / half)) * half - offset
        rounded = bounded + jax.lax.stop_gradient(jnp.round(bounded) - bounded)
        digits = jax.lax.stop_gradient(rounded).astype(jnp.int32) + levels // 2
        codes = jnp.sum(digits * self._places, axis=-1).astype(jnp.int32)
        values = rounded / (levels // 2)
        return Quantised(x, values, codes, {}, vocabulary=self.vocabulary)

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The vectors of these codes."""
        levels = np.asarray(self.levels)
        digits = codes[..., None] // self._places % levels
        return (digits - levels // 2) / jnp.asarray(levels // 2, jnp.float32)

    @property
    def _places(self) -> np.ndarray:
        """What a step of each coordinate adds to the code."""
        return np.concatenate([[1], np.cumprod(self.levels[:-1])]).astype(np.int32)
