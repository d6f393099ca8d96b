"""The deep convolutional GAN (Radford et al. 2015, 1511.06434): generator and discriminator.

Batch normalisation keeps running moments in the collection ``batch_stats``: a call with
``train=True`` uses the batch's own moments and needs ``mutable=["batch_stats"]``.
"""

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.typing import Array, Float

INIT = nn.initializers.normal(0.02)  # section 4
_KERNEL = (4, 4)  # the paper's 5x5 leaves a checkerboard under stride 2; public ports use 4x4


def batch_norm(train: bool, name: str) -> nn.BatchNorm:
    """Batch normalisation with running moments, its scale drawn about 1."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        scale_init=lambda key, shape, dtype: 1.0 + INIT(key, shape, dtype),
        name=name,
    )


class Generator(nn.Module):
    """Noise to images, doubling the resolution once per entry of ``widths``.

    A projection to ``start x start`` features, then transposed convolutions; batch normalisation
    and ReLU after each but the last, which has neither and ends in tanh (figure 1).

    Attributes:
      channels: channels of the image.
      widths: channels at ``start``, ``2 * start``, ... pixels.
      start: side of the lowest resolution.
    """

    channels: int = 3
    widths: tuple[int, ...] = (512, 256, 128, 64)
    start: int = 4

    @nn.compact
    def __call__(
        self, noise: Float[Array, "B Z"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Images in [-1, 1] with sides of ``start * 2 ** len(widths)`` pixels."""
        side, width = self.start, self.widths[0]
        x = nn.Dense(side * side * width, use_bias=False, kernel_init=INIT, name="project")(noise)
        x = x.reshape(-1, side, side, width)
        for level, width in enumerate((*self.widths[1:], self.channels)):
            x = nn.relu(batch_norm(train, f"norm_{level}")(x))
            x = nn.ConvTranspose(
                width, _KERNEL, (2, 2), use_bias=False, kernel_init=INIT, name=f"up_{level}"
            )(x)
        return nn.tanh(x)


class Discriminator(nn.Module):
    """Images to one logit, halving the resolution once per entry of ``widths``.

    Strided convolutions with leaky ReLU; batch normalisation after each but the first; no hidden
    dense layer (section 3).

    Attributes:
      widths: channels after each halving.
      start: side of the lowest resolution.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    start: int = 4

    @nn.compact
    def __call__(
        self, images: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B"]:
        """Logits, positive for images taken as real."""
        side = self.start * 2 ** len(self.widths)
        if images.shape[1:3] != (side, side):
            raise UserError(
                f"image of {images.shape[1]}x{images.shape[2]} pixels: this discriminator takes "
                f"{side}x{side} (start * 2 ** len(widths))"
            )
        x = images
        for level, width in enumerate(self.widths):
            x = nn.Conv(
                width, _KERNEL, (2, 2), use_bias=False, kernel_init=INIT, name=f"down_{level}"
            )(x)
            x = x if level == 0 else batch_norm(train, f"norm_{level}")(x)
            x = nn.leaky_relu(x, 0.2)
        return nn.Dense(1, use_bias=False, kernel_init=INIT, name="logit")(
            x.reshape(x.shape[0], -1)
        )[:, 0]
