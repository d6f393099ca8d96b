"""Long clips through decoders that see later frames, in windows that overlap."""

import functools
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax

from mmjax.errors import UserError
from mmjax.typing import Array, Float, Tree


def decode_windows(
    codec: nn.Module,
    variables: Mapping[str, Tree],
    latents: Float[Array, "B t h w Z"],
    size: int,
    overlap: int,
) -> Iterator[Float[Array, "B T H W C"]]:
    """Decodes ``size`` latent frames at a time, each beside ``overlap`` more on either side.

    What the others give is dropped, so memory does not grow with the clip. Joined along time the
    parts are as long as the whole. Where the decoder is convolutional and has a ``reach``, they are
    the whole (to rounding) from that overlap on; with less the error falls with the overlap. A
    decoder that normalises over all frames, as that of Stable Video Diffusion, is never exact.

    Args:
      codec: a video autoencoder whose first latent frame stands for one frame.
      variables: its own.
      latents: of a whole clip.
      size: latent frames that a window adds.
      overlap: latent frames that it sees besides, before and after; one or more, since of the first
        it sees it gives one frame alone.

    Raises:
      UserError: ``size`` or ``overlap`` is less than one.
    """
    if size < 1 or overlap < 1:
        raise UserError(
            f"windows of {size} latent frames that overlap by {overlap}: give 1 or more"
        )
    count, time = latents.shape[1], codec.strides[0]

    def frames(steps: int) -> int:
        return 1 + (steps - 1) * time if steps else 0

    for start in range(0, count, size):
        end, first = min(start + size, count), max(0, start - overlap)
        video = _decode(codec, variables, latents[:, first : end + overlap])
        yield video[:, frames(start) - first * time : frames(end) - first * time]


@functools.partial(jax.jit, static_argnums=0)
def _decode(codec: nn.Module, variables: Tree, latents: Array) -> Array:
    return codec.apply(variables, latents, method="decode")
