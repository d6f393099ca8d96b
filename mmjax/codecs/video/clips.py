"""Which clips a video autoencoder takes, and how it takes long ones chunk by chunk."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from mmjax.errors import UserError
from mmjax.layers.causal_conv import CACHE, begins
from mmjax.typing import Array, Float, Tree


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


def check_clip(module: nn.Module, clip: Float[Array, "B T H W C"]) -> None:
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


def chunks(
    x: Float[Array, "B T *grid"], size: int, stride: int = 1
) -> Iterator[Float[Array, "B t *grid"]]:
    """Cuts a clip into chunks of ``size`` latent frames each.

    Args:
      x: latents; or, with the temporal ``stride`` of the autoencoder, ``1 + k * stride`` frames.
      size: latent frames per chunk.
      stride: frames per latent frame but the first, which is one frame.
    """
    end = 1 + (size - 1) * stride
    yield x[:, :end]
    while end < x.shape[1]:
        yield x[:, end : end + size * stride]
        end += size * stride


def stream(
    codec: nn.Module, variables: Mapping[str, Tree], parts: Iterable[Array], method: str
) -> Iterator[Any]:
    """Encodes or decodes a clip chunk by chunk; joined along time, results are those of the whole.

    Only one chunk, and what causal layers keep of the past, is held at a time, however long the
    clip is.

    Args:
      codec: a causal autoencoder.
      variables: with its ``params``.
      parts: consecutive chunks, such as those of :func:`chunks`.
      method: ``"encode"`` or ``"decode"``.

    Raises:
      UserError: this half of the codec sees later frames, so that chunks would change the result.
    """
    if method not in codec.causal_methods:
        raise UserError(f"{type(codec).__name__}.{method} sees later frames: give it whole clips")
    state = {"params": variables["params"]}
    for part in parts:
        result, cache = _advance(codec, method, state, part)
        state |= {CACHE: cache[CACHE]}
        yield result


@functools.partial(jax.jit, static_argnums=(0, 1))
def _advance(codec: nn.Module, method: str, state: Tree, part: Array) -> tuple[Any, Tree]:
    return codec.apply(state, part, method=method, mutable=[CACHE])
