"""Convolutional blocks of image networks, channels last."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.typing import Array, Float


def group_norm(groups: int, name: str) -> nn.GroupNorm:
    """Group normalisation (Wu & He 2018), with the two-pass variance large activations need."""
    return nn.GroupNorm(num_groups=groups, epsilon=1e-6, use_fast_variance=False, name=name)


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions beside a shortcut (He et al. 2016, pre-activation).

    The shortcut is a 1x1 convolution where the number of channels changes.

    Attributes:
      features: output channels.
      groups: groups of the normalisation.
    """

    features: int
    groups: int = 32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
        """Applies the block at an unchanged resolution."""
        hidden = nn.silu(group_norm(self.groups, "norm_1")(x))
        hidden = nn.Conv(self.features, (3, 3), name="conv_1")(hidden)
        hidden = nn.silu(group_norm(self.groups, "norm_2")(hidden))
        hidden = nn.Conv(self.features, (3, 3), name="conv_2")(hidden)
        if x.shape[-1] != self.features:
            x = nn.Conv(self.features, (1, 1), name="shortcut")(x)
        return x + hidden


class Downsample(nn.Module):
    """Halves the resolution by a strided 3x3 convolution, padded below and on the right only."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """``[B, H, W, C]`` to ``[B, H / 2, W / 2, C]``."""
        padding = ((0, 1), (0, 1))
        return nn.Conv(x.shape[-1], (3, 3), strides=2, padding=padding, name="conv")(x)


class Upsample(nn.Module):
    """Doubles the resolution by repeating pixels, then convolves 3x3."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
        """``[B, H, W, C]`` to ``[B, 2 H, 2 W, C]``."""
        return nn.Conv(x.shape[-1], (3, 3), name="conv")(repeat_pixels(x))


def repeat_pixels(x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """Nearest-neighbour enlargement by 2."""
    batch, height, width, channels = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, 2, width, 2, channels))
    return jax.lax.reshape(x, (batch, 2 * height, 2 * width, channels))
