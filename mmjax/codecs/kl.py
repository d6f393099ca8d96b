"""The image autoencoder of latent diffusion: a convolutional VAE with a faint KL penalty."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.conv import Downsample, ResidualBlock, Upsample, group_norm
from mmjax.tree import pytree
from mmjax.typing import Array, Float, PRNGKeyArray


@pytree
@dataclasses.dataclass(frozen=True)
class DiagonalNormal:
    """A normal distribution with independent coordinates.

    Attributes:
      mean: ``[B, h, w, Z]``.
      logvar: log variance, the same shape.
    """

    mean: Float[Array, "B h w Z"]
    logvar: Float[Array, "B h w Z"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "B h w Z"]:
        """``mean + sigma * noise`` (Kingma & Welling 2013, section 2.4)."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.logvar) * noise

    def divergence(self) -> Float[Array, "B h w Z"]:
        """KL divergence from the standard normal, per coordinate (ibid., appendix B)."""
        return 0.5 * (jnp.square(self.mean) + jnp.exp(self.logvar) - 1.0 - self.logvar)


class SelfAttention2D(nn.Module):
    """One head of attention among all positions of an image, beside a shortcut.

    Attributes:
      groups: groups of the normalisation.
    """

    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Attends over ``H * W`` tokens of width ``C``."""
        batch, height, width, channels = x.shape
        tokens = group_norm(self.groups, "norm")(x).reshape(batch, height * width, channels)
        query, key, value = (
            nn.Dense(channels, name=name)(tokens)[:, :, None] for name in ("query", "key", "value")
        )
        mixed = nn.Dense(channels, name="out")(attention(query, key, value)[:, :, 0])
        return x + mixed.reshape(x.shape)


class Encoder(nn.Module):
    """Images to the moments of their latents.

    Attributes:
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution.
      features: output channels.
      groups: groups of the normalisation.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int
    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w M"]:
        """Halves the resolution ``len(widths) - 1`` times."""
        x = nn.Conv(self.widths[0], (3, 3), name="conv_in")(x)
        for level, width in enumerate(self.widths):
            for block in range(self.blocks):
                x = ResidualBlock(width, self.groups, name=f"level_{level}_block_{block}")(x)
            if level < len(self.widths) - 1:
                x = Downsample(name=f"level_{level}_down")(x)
        x = _middle(x, self.groups)
        x = nn.silu(group_norm(self.groups, "norm_out")(x))
        return nn.Conv(self.features, (3, 3), name="conv_out")(x)


class Decoder(nn.Module):
    """Latents to images; each resolution has one residual block more than in the encoder.

    Attributes:
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder.
      features: output channels.
      groups: groups of the normalisation.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int
    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        """Doubles the resolution ``len(widths) - 1`` times."""
        x = nn.Conv(self.widths[-1], (3, 3), name="conv_in")(x)
        x = _middle(x, self.groups)
        for level in reversed(range(len(self.widths))):
            for block in range(self.blocks + 1):
                name = f"level_{level}_block_{block}"
                x = ResidualBlock(self.widths[level], self.groups, name=name)(x)
            if level:
                x = Upsample(name=f"level_{level}_up")(x)
        x = nn.silu(group_norm(self.groups, "norm_out")(x))
        return nn.Conv(self.features, (3, 3), name="conv_out")(x)


def _middle(x: Float[Array, "B h w C"], groups: int) -> Float[Array, "B h w C"]:
    """The lowest resolution: attention between two residual blocks."""
    x = ResidualBlock(x.shape[-1], groups, name="middle_block_0")(x)
    x = SelfAttention2D(groups, name="middle_attention")(x)
    return ResidualBlock(x.shape[-1], groups, name="middle_block_1")(x)


class AutoencoderKL(nn.Module):
    """The KL-regularised autoencoder of latent diffusion (Rombach et al. 2022, appendix G).

    The defaults are Stable Diffusion's: 83,653,863 parameters, 8x smaller on each side.

    Attributes:
      channels: channels of the image.
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder; the decoder has one more.
      latents: channels of the latents.
      groups: groups of the normalisation.
    """

    channels: int = 3
    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    latents: int = 4
    groups: int = 32

    def setup(self):
        """The two halves, and a 1x1 convolution on either side of the latents."""
        self.encoder = Encoder(self.widths, self.blocks, 2 * self.latents, self.groups)
        self.decoder = Decoder(self.widths, self.blocks, self.channels, self.groups)
        self.moments = nn.Conv(2 * self.latents, (1, 1))
        self.unproject = nn.Conv(self.latents, (1, 1))

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The latent grid of an image ``(H, W, channels)``."""
        stride = 2 ** (len(self.widths) - 1)
        height, width = raw_shape[:2]
        if height % stride or width % stride:
            raise UserError(
                f"image of {height}x{width} pixels: AutoencoderKL takes sides that are "
                f"multiples of {stride}"
            )
        return height // stride, width // stride

    def encode(self, images: Float[Array, "B H W C"]) -> DiagonalNormal:
        """The posterior over the latents of images in [-1, 1]."""
        self.grid(images.shape[1:])
        mean, logvar = jnp.split(self.moments(self.encoder(images)), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        """Images, about in [-1, 1] and not clipped."""
        return self.decoder(self.unproject(latents))

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(images).mean)
