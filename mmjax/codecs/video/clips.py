"""Which clips a video autoencoder takes."""

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.layers.causal_conv import begins
from mmjax.typing import Array, Float


def clip_grid(
    raw_shape: tuple[int, ...], strides: tuple[int, int, int], codec: str
) -> tuple[int, int, int]:
    """The latent grid of a clip ``(T, H, W, channels)`` whose first frame stands alone.

    Raises:
      UserError: the strides do not fit; naming them.
    """
    frames, height, width = raw_shape[:3]
    time, *sides = strides
    if frames < 1 or (frames - 1) % time or height % sides[0] or width % sides[1]:
        raise UserError(
            f"clip of {frames} frames of {height}x{width} pixels: {codec} takes {time}k + 1 frames "
            f"and sides that are multiples of {sides[0]}"
        )
    return 1 + (frames - 1) // time, height // sides[0], width // sides[1]


def check_clip(module: nn.Module, clip: Float[Array, "B T *grid C"]) -> None:
    """UserError unless ``module``, which has a ``grid`` and ``strides``, takes this clip or chunk.

    A chunk that is not the first has a multiple of the temporal stride of frames.
    """
    frames, *rest = clip.shape[1:]
    if begins(module):
        module.grid((frames, *rest))
    elif frames % module.strides[0]:
        raise UserError(
            f"chunk of {frames} frames: after the first, {type(module).__name__} takes chunks of "
            f"multiples of {module.strides[0]} frames"
        )
