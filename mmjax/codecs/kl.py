"""The image autoencoder of latent diffusion: a convolutional VAE with a faint KL penalty."""

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.pyramid import Decoder, Encoder, image_grid
from mmjax.typing import Array, Float


class AutoencoderKL(nn.Module):
    """The KL-regularised autoencoder of latent diffusion (Rombach et al. 2022, appendix G).

    The defaults are Stable Diffusion's: 83,653,863 parameters, 8x smaller on each side.

    Attributes:
      channels: channels of the image.
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder; the decoder has one more.
      latents: channels of the latents.
      groups: groups of the normalisation.
      attention: levels (0 is the highest resolution) whose residual blocks attend as well.
      middle: whether the lowest resolution has attention in its middle.
      projected: whether a 1x1 convolution stands on either side of the latents; Stable Diffusion 3
        and FLUX have none.
    """

    channels: int = 3
    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    latents: int = 4
    groups: int = 32
    attention: tuple[int, ...] = ()
    middle: bool = True
    projected: bool = True

    def setup(self):
        """The two halves, and what stands between them."""
        shape = {"widths": self.widths, "blocks": self.blocks, "groups": self.groups}
        shape |= {"attention": self.attention, "middle": self.middle}
        self.encoder = Encoder(features=2 * self.latents, **shape)
        self.decoder = Decoder(features=self.channels, **shape)
        if self.projected:
            self.moments = nn.Conv(2 * self.latents, (1, 1))
            self.unproject = nn.Conv(self.latents, (1, 1))

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The latent grid of an image ``(H, W, channels)``."""
        return image_grid(raw_shape, 2 ** (len(self.widths) - 1), "AutoencoderKL")

    def encode(self, images: Float[Array, "B H W C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of images in [-1, 1]; ``train`` changes nothing."""
        self.grid(images.shape[1:])
        moments = self.encoder(images)
        if self.projected:
            moments = self.moments(moments)
        mean, logvar = jnp.split(moments, 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(self, latents: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        """Images, about in [-1, 1] and not clipped."""
        return self.decoder(self.unproject(latents) if self.projected else latents)

    def __call__(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(images).mean)
