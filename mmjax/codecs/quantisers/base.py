"""What quantisers share: their result, distances, gradients past a choice, the use of codes.

A quantiser is a Linen module ``(x, *, train=False, mask=None) -> Quantised`` with a method
``lookup(codes) -> vectors``. ``x`` is ``[*P, D]``, ``mask`` ``[*P]`` says which vectors train it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.tree import pytree
from mmjax.typing import Array, Float, Int, PRNGKeyArray


@pytree
@dataclasses.dataclass(frozen=True)
class Quantised:
    """Vectors with their nearest of finitely many.

    Attributes:
      mean: ``[*P, D]``, the encoder's vectors as they came.
      values: what a decoder reads; in the gradient they stand for ``mean`` (Bengio et al. 2013).
      codes: ``[*P]`` or, for several codebooks, ``[*P, Q]``; -1 where a codebook is left out.
      losses: per vector ``[*P]`` or one number, unweighted, by name.
      vocabulary: how many codes each codebook has.
    """

    mean: Float[Array, "*P D"]
    values: Float[Array, "*P E"]
    codes: Int[Array, "..."]
    losses: Mapping[str, Float[Array, "..."]]
    vocabulary: int = dataclasses.field(kw_only=True, metadata={"static": True})

    def read(self, key: PRNGKeyArray | None = None) -> tuple[Float[Array, "*P E"]]:
        """What a decoder takes, with or without a key."""
        return (self.values,)

    def penalties(self, count: int) -> Mapping[str, Float[Array, "..."]]:
        """The losses, which count by vector, whatever the ``count`` of values before coding."""
        return self.losses

    def use(self) -> dict[str, Float[Array, ""]]:
        """The ``perplexity`` of the codes, or its mean over codebooks, to log."""
        several = self.codes.ndim == self.mean.ndim
        rows = self.codes.reshape(-1, self.codes.shape[-1] if several else 1)
        found = jax.vmap(perplexity, (1, None))(rows, self.vocabulary)
        return {"perplexity": jnp.mean(found)}


def check_size(quantiser: Any, x: Float[Array, "*P D"], size: int) -> None:
    """Raises UserError unless vectors have ``size`` numbers, one for each digit of a code."""
    if x.shape[-1] != size:
        raise UserError(
            f"{type(quantiser).__name__}: codes of {size} digits are made of vectors of {size} "
            f"numbers, not {x.shape[-1]}; give the codec size={size}"
        )


def vectors(quantiser: Any, found: Int[Array, "..."] | Float[Array, "..."]) -> Float[Array, "..."]:
    """What a decoder reads: the quantiser's vectors of codes, or vectors as they are."""
    return quantiser.lookup(found) if jnp.issubdtype(found.dtype, jnp.integer) else found


def straight_through(x: Float[Array, "*P D"], quantised: Float[Array, "*P D"]):
    """``quantised``, with the gradient of ``x``."""
    return x + jax.lax.stop_gradient(quantised - x)


def nearest(x: Float[Array, "*P D"], codebook: Float[Array, "V D"]) -> Int[Array, "*P"]:
    """The row of the codebook at the smallest Euclidean distance from each vector."""
    # Accelerators multiply float32 in bfloat16 by default, which would take other rows.
    products = jnp.matmul(x, codebook.T, precision=jax.lax.Precision.HIGHEST)
    distances = jnp.sum(jnp.square(codebook), axis=-1) - 2.0 * products
    return jnp.argmin(distances, axis=-1).astype(jnp.int32)


def unit(x: Float[Array, "*P D"], eps: float = 1e-12) -> Float[Array, "*P D"]:
    """``x`` divided by its length, or by ``eps`` where that is larger."""
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, eps**2))


def distance_losses(
    x: Float[Array, "*P D"], quantised: Float[Array, "*P D"]
) -> dict[str, Float[Array, "*P"]]:
    """The second and third term of VQ-VAE's loss (van den Oord et al. 2017, eq. 3), means over D.

    ``codebook`` moves the entries, ``commitment`` the encoder.
    """

    def error(a, b):
        return jnp.mean(jnp.square(a - b), axis=-1)

    frozen = jax.lax.stop_gradient
    return {"commitment": error(x, frozen(quantised)), "codebook": error(frozen(x), quantised)}


def perplexity(codes: Int[Array, "N"], vocabulary: int) -> Float[Array, ""]:
    """``exp`` of the entropy of the codes' shares: how many are in even use; those below 0 do not
    count (van den Oord et al. 2017, section 4).
    """
    counts = jnp.zeros(vocabulary).at[codes].add((codes >= 0).astype(jnp.float32))
    shares = counts / jnp.maximum(jnp.sum(counts), 1.0)
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(shares, shares)))
