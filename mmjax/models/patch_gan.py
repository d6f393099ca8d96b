"""The critic of patches (Isola et al. 2017, 1611.07004, appendix 6.1.2)."""

import flax.linen as nn

from mmjax.models.gan import INIT, batch_norm
from mmjax.typing import Array, Float

_MOST = 3  # how often the channels double


class PatchDiscriminator(nn.Module):
    """One logit for each overlapping patch of an image, 70 pixels wide by default.

    Strided convolutions of 4x4 with leaky ReLU, then two at stride 1; batch normalisation after all
    but the first and the last. The default has 2,765,633 parameters on three channels.

    Attributes:
      width: channels after the first convolution; they double with each, up to eightfold.
      halvings: strided convolutions.
    """

    width: int = 64
    halvings: int = 3

    @nn.compact
    def __call__(
        self, images: Float[Array, "B H W C"], *, train: bool = False
    ) -> tuple[tuple[Float[Array, "B h w D"], ...]]:
        """The verdict of one judge: what each layer finds, then ``[B, h, w, 1]`` logits."""
        x, found = images, []
        for level in range(self.halvings + 1):
            stride, first = 2 if level < self.halvings else 1, level == 0
            width = self.width * 2 ** min(level, _MOST)
            x = _conv(width, stride, first, f"conv_{level}")(x)
            x = x if first else batch_norm(train, f"norm_{level}")(x)
            x = nn.leaky_relu(x, 0.2)
            found.append(x)
        return ((*found, _conv(1, 1, True, "logit")(x)),)


def _conv(width: int, stride: int, bias: bool, name: str) -> nn.Conv:
    return nn.Conv(
        width, (4, 4), stride, padding=((1, 1), (1, 1)), use_bias=bias, kernel_init=INIT, name=name
    )
