"""Normalisation over channels, computed in float32 whatever the input's type."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.typing import Array, Float


def layer_norm(x: Float[Array, "*P D"], eps: float = 1e-6) -> Float[Array, "*P D"]:
    """``x`` with mean 0 and variance 1 over the last axis (Ba et al. 2016), not affine."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=-1, keepdims=True)
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + eps)
    return y.astype(x.dtype)


def rms_norm(x: Float[Array, "*P D"], eps: float = 1e-6) -> Float[Array, "*P D"]:
    """``x`` over its root mean square on the last axis (Zhang and Sennrich 2019)."""
    y = x.astype(jnp.float32)
    y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + eps)
    return y.astype(x.dtype)


class Norm(nn.Module):
    """Layer or RMS normalisation with an optional learned scale (and offset for ``layer``).

    Attributes:
      kind: ``"layer"`` or ``"rms"``.
      affine: whether scale and offset are learned; adaptive modulation goes without.
      eps: added to the variance.
    """

    kind: str = "layer"
    affine: bool = True
    eps: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "*P D"]) -> Float[Array, "*P D"]:
        """The normalised ``x``, same shape and type."""
        if self.kind not in ("layer", "rms"):
            raise ValueError(f"norm kind {self.kind!r} is neither 'layer' nor 'rms'")
        y = (layer_norm if self.kind == "layer" else rms_norm)(x, self.eps)
        if not self.affine:
            return y
        y = y * self.param("scale", nn.initializers.ones, (x.shape[-1],)).astype(x.dtype)
        if self.kind == "layer":
            y = y + self.param("bias", nn.initializers.zeros, (x.shape[-1],)).astype(x.dtype)
        return y
