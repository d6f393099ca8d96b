"""Layers that see no later step, over whole clips or over one chunk after another.

A module applied with ``mutable=["cache"]`` returns in the collection ``cache`` what it keeps of a
clip's past. Given back with the next chunk, it takes the place of the padding in front of the clip.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from mmjax.typing import Array, Float

CACHE = "cache"
_PAST = "past"


def begins(module: nn.Module) -> bool:
    """Whether ``module`` sees a whole clip or its first chunk; later chunks come with a cache.

    For modules that have to know no more of the past. May be asked once in a method.
    """
    first = not module.has_variable(CACHE, _PAST)
    if first and keeps(module):
        module.put_variable(CACHE, _PAST, jnp.zeros((0,)))
    return first


def join(
    module: nn.Module,
    x: Float[Array, "B T *grid C"],
    start: Float[Array, "B S *grid C"],
    kept: int,
) -> Float[Array, "B U *grid C"]:
    """``x`` after the frames that come before it.

    Args:
      module: whose cache holds them.
      x: a whole clip or a chunk of it.
      start: what stands before a clip.
      kept: how many of the last frames are kept for the next chunk.
    """
    past = past_of(module)
    joined = jnp.concatenate([start if past is None else past, x], axis=1)
    if keeps(module):
        module.put_variable(CACHE, _PAST, joined[:, joined.shape[1] - kept :])
    return joined


def past_of(module: nn.Module) -> Float[Array, "B T ..."] | None:
    """What the chunk before has left to :func:`join`; None for a whole clip or the first chunk."""
    return module.get_variable(CACHE, _PAST) if module.has_variable(CACHE, _PAST) else None


def keeps(module: nn.Module) -> bool:
    """Whether ``module`` sees a chunk of a clip, and leaves its past for the next."""
    return module.is_mutable_collection(CACHE) and not module.is_initializing()


class CausalConv(nn.Module):
    """A convolution that keeps the grid; its output at a frame sees no later one.

    Attributes:
      features: output channels.
      window: extent in frames and along the other axes, those of video by default.
    """

    features: int
    window: tuple[int, ...] = (3, 3, 3)

    @nn.compact
    def __call__(self, x: Float[Array, "B T *grid C"]) -> Float[Array, "B T *grid D"]:
        """Applies the convolution."""
        past = self.window[0] - 1
        before = jnp.zeros((x.shape[0], past, *x.shape[2:]), x.dtype)
        x = join(self, x, before, past)
        sides = ((size // 2, size // 2) for size in self.window[1:])
        x = jnp.pad(x, ((0, 0), (0, 0), *sides, (0, 0)))
        return nn.Conv(self.features, self.window, padding="VALID", name="conv")(x)


class CausalResidual(nn.Module):
    """Two normalised causal convolutions beside a shortcut, as :class:`ResidualBlock` in 2D.

    The shortcut is a linear map where the number of channels changes.

    Attributes:
      features: output channels.
      norm: makes a normalisation with a name.
      conv: makes a convolution of a number of features, with a name.
    """

    features: int
    norm: Callable[..., nn.Module]
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "B T *grid C"]) -> Float[Array, "B T *grid D"]:
        """Applies the block on an unchanged grid."""
        hidden = x
        for part in (1, 2):
            hidden = nn.silu(self.norm(name=f"norm_{part}")(hidden))
            hidden = self.conv(self.features, name=f"conv_{part}")(hidden)
        if x.shape[-1] != self.features:
            x = nn.Dense(self.features, name="shortcut")(x)
        return x + hidden
