"""The convolutional encoder and decoder that latent diffusion and VQ-GAN share.

Esser et al. 2021 (2012.09841), table 7; Rombach et al. 2022 (2112.10752), appendix G.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.conv import Downsample, ResidualBlock, Upsample, group_norm
from mmjax.typing import Array, Float


class SelfAttention2D(nn.Module):
    """One head of attention among all positions of an image, beside a shortcut.

    Attributes:
      norm: makes the normalisation before it, given its name.
      joined: whether one matrix gives query, key and value.
    """

    norm: Callable[..., nn.Module]
    joined: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Attends over ``H * W`` tokens of width ``C``."""
        batch, height, width, channels = x.shape
        tokens = self.norm(name="norm")(x).reshape(batch, height * width, 1, channels)
        if self.joined:
            parts = jnp.split(nn.Dense(3 * channels, name="qkv")(tokens), 3, axis=-1)
        else:
            parts = [nn.Dense(channels, name=name)(tokens) for name in ("query", "key", "value")]
        mixed = nn.Dense(channels, name="out")(attention(*parts)[:, :, 0])
        return x + mixed.reshape(x.shape)


class Half(nn.Module):
    """What an encoder and its decoder agree on.

    Attributes:
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder; the decoder has one more.
      features: output channels.
      groups: groups of the normalisation.
      attention: levels (0 is the highest resolution) whose residual blocks attend as well.
      middle: whether there is attention between the two blocks at the lowest resolution.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int
    groups: int
    attention: tuple[int, ...] = ()
    middle: bool = True


class Encoder(Half):
    """Images to features at the lowest resolution."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w M"]:
        """Halves the resolution ``len(widths) - 1`` times."""
        x = nn.Conv(self.widths[0], (3, 3), name="conv_in")(x)
        for level in range(len(self.widths)):
            x = _level(x, self, level, self.blocks)
            if level < len(self.widths) - 1:
                x = Downsample(name=f"level_{level}_down")(x)
        x = _middle(x, self)
        x = nn.silu(group_norm(self.groups, "norm_out")(x))
        return nn.Conv(self.features, (3, 3), name="conv_out")(x)


class Decoder(Half):
    """Latents to images; each resolution has one residual block more than in the encoder."""

    @nn.compact
    def __call__(self, x: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        """Doubles the resolution ``len(widths) - 1`` times."""
        x = nn.Conv(self.widths[-1], (3, 3), name="conv_in")(x)
        x = _middle(x, self)
        for level in reversed(range(len(self.widths))):
            x = _level(x, self, level, self.blocks + 1)
            if level:
                x = Upsample(name=f"level_{level}_up")(x)
        x = nn.silu(group_norm(self.groups, "norm_out")(x))
        return nn.Conv(self.features, (3, 3), name="conv_out")(x)


def image_grid(raw_shape: tuple[int, ...], stride: int, codec: str) -> tuple[int, int]:
    """The latent grid of an image ``(H, W, channels)``; UserError if the stride does not fit."""
    height, width = raw_shape[:2]
    if height % stride or width % stride:
        raise UserError(
            f"image of {height}x{width} pixels: {codec} takes sides that are multiples of {stride}"
        )
    return height // stride, width // stride


def _level(x: Float[Array, "B h w C"], half: Half, level: int, blocks: int):
    """The residual blocks of one resolution, each with attention where the level has it."""
    norm = functools.partial(group_norm, half.groups)
    for block in range(blocks):
        name = f"level_{level}_block_{block}"
        x = ResidualBlock(half.widths[level], half.groups, name=name)(x)
        if level in half.attention:
            x = SelfAttention2D(norm, name=f"level_{level}_attention_{block}")(x)
    return x


def _middle(x: Float[Array, "B h w C"], half: Half) -> Float[Array, "B h w C"]:
    """The lowest resolution: attention between two residual blocks."""
    x = ResidualBlock(x.shape[-1], half.groups, name="middle_block_0")(x)
    if half.middle:
        norm = functools.partial(group_norm, half.groups)
        x = SelfAttention2D(norm, name="middle_attention")(x)
    return ResidualBlock(x.shape[-1], half.groups, name="middle_block_1")(x)
