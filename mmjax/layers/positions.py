"""Positions as sines and cosines: rotary (relative) and additive (absolute), over named axes.

Positions are data in the units of a stream (seconds, pixels, index). ``units`` says how many of
them make one step, so streams that share an axis, such as the time of sound and picture, turn at
the same pace whatever their rates.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from mmjax.typing import Array, Float


def sinusoids(
    values: Float[Array, "*P"],
    width: int,
    *,
    period: float = 10000.0,
    cosine_first: bool = False,
    shift: float = 0.0,
) -> Float[Array, "*P W"]:
    """Sines and cosines of ``values`` at ``width / 2`` geometric rates from 1 to ``1 / period``.

    Vaswani et al. 2017, section 3.5. ``shift`` 1 makes the last rate exactly ``1 / period``, as in
    tensor2tensor and DDPM; 0 is the paper's. ``cosine_first`` orders the two halves.
    """
    half = width // 2
    rates = np.exp(-np.log(period) * np.arange(half) / (half - shift)).astype(np.float32)
    angles = values[..., None] * rates
    halves = (jnp.cos(angles), jnp.sin(angles))
    return jnp.concatenate(halves if cosine_first else halves[::-1], axis=-1)


@dataclasses.dataclass(frozen=True)
class SinCos:
    """Additive fixed embedding: each axis fills an equal share of the width.

    Attributes:
      axes: names of position axes, in the order of their shares.
      units: position units per step of each axis (such as pixels per patch).
      origin: the step number that the first position (half a unit) should have is
        ``0.5 - origin``; 0.5 makes centres count 0, 1, 2, ... as in DiT and MAE.
    """

    axes: tuple[str, ...]
    units: tuple[float, ...]
    origin: float = 0.0

    def embed(
        self, positions: Float[Array, "B N A"], axes: tuple[str, ...], width: int
    ) -> Float[Array, "B N D"]:
        """The embedding of ``positions``, whose last axis is named by ``axes``.

        The share of an axis that the stream lacks is zero. Raises ValueError when the width does
        not divide into pairs for every axis.
        """
        share, rest = divmod(width, len(self.axes))
        if rest or share % 2:
            raise ValueError(f"width {width} does not split into pairs for axes {self.axes}")
        parts = []
        for name, unit in zip(self.axes, self.units, strict=True):
            if name in axes:
                steps = positions[..., axes.index(name)] / unit - self.origin
                parts.append(sinusoids(steps, share))
            else:
                parts.append(jnp.zeros((*positions.shape[:-1], share), positions.dtype))
        return jnp.concatenate(parts, axis=-1)


@dataclasses.dataclass(frozen=True)
class Rotary:
    """Rotary embedding (Su et al. 2021, equation 34), its channels shared out over named axes.

    Attributes:
      axes: names of position axes, in channel order. A stream without an axis does not turn there.
      dims: channels of each head that belong to each axis (even); further channels never turn.
      units: position units per radian of the fastest pair (seconds or pixels per step).
      theta: ratio of the fastest to the (unreached) slowest rate.
      interleaved: a pair is channels ``2i, 2i + 1`` (RoFormer, Wan, Flux); otherwise ``i`` and
        ``i + R`` of the ``2R`` turning channels (NeoX, Llama).
    """

    axes: tuple[str, ...]
    dims: tuple[int, ...]
    units: tuple[float, ...]
    theta: float = 10000.0
    interleaved: bool = False

    def angles(
        self, positions: Float[Array, "B N A"], axes: tuple[str, ...]
    ) -> Float[Array, "B N R"]:
        """The angle of each pair in radians; ``axes`` names the last axis of ``positions``."""
        parts = []
        for name, dims, unit in zip(self.axes, self.dims, self.units, strict=True):
            rates = (self.theta ** (-np.arange(0, dims, 2) / dims) / unit).astype(np.float32)
            if name in axes:
                parts.append(positions[..., axes.index(name), None] * rates)
            else:
                parts.append(jnp.zeros((*positions.shape[:-1], len(rates)), positions.dtype))
        return jnp.concatenate(parts, axis=-1)

    def rotate(
        self, x: Float[Array, "B N K D"], angles: Float[Array, "B N R"]
    ) -> Float[Array, "B N K D"]:
        """``x`` with each pair of channels of each head turned by its angle."""
        turning = 2 * angles.shape[-1]
        if turning > x.shape[-1]:
            raise ValueError(f"rotary dims {self.dims} exceed the head's {x.shape[-1]} channels")
        cos = jnp.cos(angles)[:, :, None].astype(x.dtype)
        sin = jnp.sin(angles)[:, :, None].astype(x.dtype)
        active, idle = x[..., :turning], x[..., turning:]
        if self.interleaved:
            first, second = active[..., 0::2], active[..., 1::2]
        else:
            first, second = jnp.split(active, 2, axis=-1)
        turned = (first * cos - second * sin, second * cos + first * sin)
        if self.interleaved:
            active = jnp.stack(turned, axis=-1).reshape(active.shape)
        else:
            active = jnp.concatenate(turned, axis=-1)
        return jnp.concatenate([active, idle], axis=-1) if idle.shape[-1] else active
