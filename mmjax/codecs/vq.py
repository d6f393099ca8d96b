"""The image autoencoder of VQ-GAN: a convolutional encoder and decoder around a quantiser."""

from typing import Any

import flax.linen as nn

from mmjax.codecs.pyramid import Decoder, Encoder, image_grid
from mmjax.codecs.quantisers.base import Quantised, vectors
from mmjax.typing import Array, Float, Int


class VQEncoder(nn.Module):
    """Images to codes (Esser et al. 2021, 2012.09841, section 3.1).

    Attributes:
      quantiser: of vectors with ``size`` numbers, see :mod:`mmjax.codecs.quantisers.base`.
      size: channels that are quantised.
      channels: channels of the image.
      widths: channels per resolution, highest resolution first.
      blocks: residual blocks per resolution of the encoder; a decoder has one more.
      latents: channels between the convolutions and the projection to ``size``.
      groups: groups of the normalisation.
      attention: levels (0 is the highest resolution) whose residual blocks attend as well.
      middle: whether the lowest resolution has attention in its middle.
    """

    quantiser: Any
    size: int
    channels: int = 3
    widths: tuple[int, ...] = (128, 128, 256, 256, 512)
    blocks: int = 2
    latents: int = 256
    groups: int = 32
    attention: tuple[int, ...] = (4,)
    middle: bool = True

    def setup(self):
        """The encoder and the projection of its latents."""
        self.encoder = Encoder(features=self.latents, **self.shape)
        self.project = nn.Conv(self.size, (1, 1))

    @property
    def shape(self) -> dict[str, Any]:
        """The fields that an encoder and a decoder have in common."""
        names = ("widths", "blocks", "groups", "attention", "middle")
        return {name: getattr(self, name) for name in names}

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """The grid of codes of an image ``(H, W, channels)``."""
        return image_grid(raw_shape, 2 ** (len(self.widths) - 1), type(self).__name__)

    def encode(self, images: Float[Array, "B H W C"], *, train: bool = False) -> Quantised:
        """Codes ``[B, h, w]`` of images in [-1, 1]; ``train`` lets the quantiser learn."""
        self.grid(images.shape[1:])
        return self.quantiser(self.project(self.encoder(images)), train=train)

    def __call__(self, images: Float[Array, "B H W C"], *, train: bool = False) -> Quantised:
        """The same as :meth:`encode`."""
        return self.encode(images, train=train)


class VQAutoencoder(VQEncoder):
    """Images to codes and back; the fields are those of :class:`VQEncoder`."""

    def setup(self):
        """The two halves, and a 1x1 convolution on either side of the codes."""
        super().setup()
        self.unproject = nn.Conv(self.latents, (1, 1))
        self.decoder = Decoder(features=self.channels, **self.shape)

    def decode(
        self, codes: Int[Array, "B h w"] | Float[Array, "B h w Z"]
    ) -> Float[Array, "B H W C"]:
        """Images, about in [-1, 1] and not clipped, from codes or from the quantiser's vectors."""
        return self.decoder(self.unproject(vectors(self.quantiser, codes)))

    def __call__(
        self, images: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """The reconstruction."""
        return self.decode(self.encode(images, train=train).values)
