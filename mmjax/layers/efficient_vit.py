"""The block of EfficientViT: linear attention at several scales, then a gated convolution.

Cai et al., "EfficientViT" (2205.14756), sections 3.1 and 3.2, in the form that DC-AE gave it.
"""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.layers.grouped import DepthwiseConv, convolve
from mmjax.layers.norm import rms_norm
from mmjax.typing import Array, Float

_EXPANSION = 4  # of the gated convolution
_TINY = 1e-15  # keeps a row of zero keys from dividing by zero


class ShiftedRMS(nn.Module):
    """RMS normalisation with a learned scale and offset."""

    @nn.compact
    def __call__(self, x: Float[Array, "*P C"]) -> Float[Array, "*P C"]:
        """The normalised ``x``, same shape."""
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return rms_norm(x, 1e-5) * scale + bias


class EfficientViTBlock(nn.Module):
    """Linear attention and a gated depthwise convolution, each beside a shortcut.

    Attributes:
      head: width of a head.
      scales: sides of the depthwise convolutions that each give another set of heads.
    """

    head: int
    scales: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Applies the block at an unchanged resolution."""
        x = x + ScaledLinearAttention(self.head, self.scales, name="attention")(x)
        return x + GatedConv(name="gated")(x)


class ScaledLinearAttention(nn.Module):
    """ReLU linear attention over all positions, at the scale of a pixel and at coarser ones.

    One projection gives three thirds; each head is a run of ``3 * head`` of its channels, split
    into query, key and value, so that a head's query may lie in any of the thirds. Attributes as in
    :class:`EfficientViTBlock`.
    """

    head: int
    scales: tuple[int, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Mixes positions; the cost grows with their number, not with its square."""
        channels = x.shape[-1]
        width = channels // self.head * self.head
        thirds = [nn.Dense(width, use_bias=False, name=f"third_{n}")(x) for n in range(3)]
        heads = [jnp.concatenate(thirds, axis=-1)]
        for number, side in enumerate(self.scales):
            coarse = DepthwiseConv(side, bias=False, name=f"scale_{number}_in")(heads[0])
            groups = 3 * width // self.head
            mix = nn.Conv(3 * width, (1, 1), feature_group_count=groups, use_bias=False,
                          conv_general_dilated=convolve, name=f"scale_{number}_out")  # fmt: skip
            heads.append(mix(coarse))
        mixed = _linear_attention(jnp.concatenate(heads, axis=-1), self.head)
        return ShiftedRMS(name="norm")(nn.Dense(channels, use_bias=False, name="out")(mixed))


class GatedConv(nn.Module):
    """An inverted bottleneck whose 3x3 depthwise convolution is gated by half of its channels."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Applies it at an unchanged resolution."""
        channels = x.shape[-1]
        inner = 2 * _EXPANSION * channels
        y = nn.silu(nn.Dense(inner, name="expand")(x))
        y, gate = jnp.split(DepthwiseConv(3, name="depth")(y), 2, axis=-1)
        y = nn.Dense(channels, use_bias=False, name="reduce")(y * nn.silu(gate))
        return ShiftedRMS(name="norm")(y)


def _linear_attention(heads: Float[Array, "B H W C"], size: int) -> Float[Array, "B H W D"]:
    """relu(q) . (sum of relu(k) v) over relu(q) . (sum of relu(k)), in float32 (ibid., eq. 2)."""
    batch, height, width, channels = heads.shape
    split = heads.astype(jnp.float32).reshape(batch, height * width, -1, 3, size)
    query, key, value = nn.relu(split[..., 0, :]), nn.relu(split[..., 1, :]), split[..., 2, :]
    memory = jnp.einsum("bnhk,bnhv->bhkv", key, value)
    total = jnp.einsum("bnhk,bhk->bnh", query, key.sum(axis=1))
    mixed = jnp.einsum("bnhk,bhkv->bnhv", query, memory) / (total[..., None] + _TINY)
    return mixed.reshape(batch, height, width, channels // 3).astype(heads.dtype)
