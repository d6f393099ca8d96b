"""Long clips and sounds, chunk by chunk through the causal half of a codec."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from mmjax.errors import UserError
from mmjax.layers.causal_conv import CACHE
from mmjax.typing import Array, Float, Tree


def chunks(
    x: Float[Array, "B T *grid"], size: int, stride: int = 1, *, alone: bool = True
) -> Iterator[Float[Array, "B t *grid"]]:
    """Cuts a clip into chunks of ``size`` latent steps each.

    Args:
      x: latents; or, with the temporal ``stride`` of the codec, what they stand for.
      size: latent steps per chunk.
      stride: steps of ``x`` per latent step.
      alone: whether the first latent step is of one step of ``x``, as that of video is.
    """
    end = 1 + (size - 1) * stride if alone else size * stride
    yield x[:, :end]
    while end < x.shape[1]:
        yield x[:, end : end + size * stride]
        end += size * stride


def stream(
    codec: nn.Module, variables: Mapping[str, Tree], parts: Iterable[Array], method: str
) -> Iterator[Any]:
    """Encodes or decodes chunk by chunk; joined along time, results are those of the whole.

    Only one chunk, and what causal layers keep of the past, is held at a time, however long it is.

    Args:
      codec: one that is causal.
      variables: its own.
      parts: consecutive chunks, such as those of :func:`chunks`.
      method: ``"encode"`` or ``"decode"``.

    Raises:
      UserError: this half of the codec sees later frames, so that chunks would change the result.
    """
    if method not in codec.causal_methods:
        raise UserError(f"{type(codec).__name__}.{method} sees later frames: give it the whole")
    state = dict(variables)
    for part in parts:
        result, cache = _advance(codec, method, state, part)
        state |= cache
        yield result


@functools.partial(jax.jit, static_argnums=(0, 1))
def _advance(codec: nn.Module, method: str, state: Tree, part: Array) -> tuple[Any, Tree]:
    return codec.apply(state, part, method=method, mutable=[CACHE])
