"""What a model reads and writes: one :class:`Stream` per name, and the static facts about it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.tree import pytree
from mmjax.typing import Array, Bool, Float, Int

PARTS = ("mask", "positions", "segments")


@pytree
@dataclasses.dataclass(frozen=True)
class Stream:
    """The values of one stream with everything a model may know about them.

    Attributes:
      values: ``[B, *grid, C]`` floats (continuous) or ``[B, *grid]`` integers (discrete). A
        network returns predictions in their place: logits ``[B, *grid, V]`` if discrete.
      time: noise level, 0 clean and 1 noise, ``[B]`` (per clip) or ``[B, *grid]`` with axes of
        length 1 where it does not vary, such as ``[B, T, 1, 1]`` (per frame).
      mask: ``[B, *grid]``, true where there is content, false for padding or a dropped condition.
      positions: ``[B, *grid, A]`` in the units of the spec's axes (seconds, pixels, index).
      segments: ``[B, *grid]`` integers; tokens see each other only inside one segment. None: one.
    """

    values: Float[Array, "..."] | Int[Array, "..."]
    time: Float[Array, "B ..."]
    mask: Bool[Array, "B *grid"]
    positions: Float[Array, "B *grid A"]
    segments: Int[Array, "B *grid"] | None = None

    def replace(self, **changes) -> "Stream":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True)
class StreamSpec:
    """The static facts of a stream, derived from its modality and codec.

    Attributes:
      name: the stream's name in the system.
      field: the batch field that holds its raw data.
      grid: latent axes without the batch, such as ``(T, H, W)``.
      channels: features per grid point, None for a discrete stream.
      vocabulary: number of codes, None for a continuous stream.
      axes: the names of the position axes (``time``, ``height``, ``width``, ``index``).
      grid_positions: ``[*grid, A]`` positions of a clip at the modality's own rate, nested tuples
        made read-only arrays; seconds, pixels or index.
      modality, codec, process: the objects named by the config (``modality`` and ``codec`` may be
        None when the batch already holds latents, such as cached ones).
      drop_rate: probability that the stream is dropped as a condition during training.
      dropped: what a dropped condition becomes: ``"mask"`` (its tokens are masked out), ``"noise"``
        (pure noise at time 1) or ``"empty"`` (the codec's encoding of nothing).
      weight: factor of the stream's term in the loss.
    """

    name: str
    field: str
    grid: tuple[int, ...]
    channels: int | None
    vocabulary: int | None
    axes: tuple[str, ...]
    grid_positions: np.ndarray
    modality: Any = None
    codec: Any = None
    process: Any = None
    drop_rate: float = 0.0
    dropped: str = "mask"
    weight: float = 1.0

    @property
    def discrete(self) -> bool:
        """Whether values are integer codes."""
        return self.vocabulary is not None

    @property
    def tokens(self) -> int:
        """The number of grid points."""
        return math.prod(self.grid)

    def shape(self, batch: int) -> tuple[int, ...]:
        """The shape of ``values`` for a batch."""
        return (batch, *self.grid) if self.discrete else (batch, *self.grid, self.channels)

    def encode(self, batch: Mapping[str, Any]) -> Stream:
        """The clean stream of a batch: its cached latents if it holds them, else its field encoded.

        Fields ``<field>_mask``, ``<field>_positions`` and ``<field>_segments``, where present,
        replace the full mask, the grid's own positions and the single segment.
        """
        values = batch.get(f"{self.field}_latents")
        if values is None:
            values = jnp.asarray(batch[self.field])
            if self.codec is not None and not self.codec.host:
                values = self.codec.encode(values)
        names = {part: f"{self.field}_{part}" for part in PARTS}
        parts = {part: jnp.asarray(batch[name]) for part, name in names.items() if name in batch}
        return self.make(values, **parts)

    def make(self, values, *, time=None, mask=None, positions=None, segments=None) -> Stream:
        """A stream of ``values``, by default clean, fully visible and at the spec's positions."""
        batch = values.shape[0]
        if values.shape != self.shape(batch):
            raise ValueError(f"stream {self.name!r} takes {self.shape(batch)}, got {values.shape}")
        if time is None:
            time = jnp.zeros((batch,), jnp.float32)
        if mask is None:
            mask = jnp.ones((batch, *self.grid), bool)
        if positions is None:
            positions = jnp.broadcast_to(
                jnp.asarray(self.grid_positions, jnp.float32), (batch, *self.grid_positions.shape)
            )
        return Stream(values, time, mask, positions, segments)


def expand_time(time: Array, values: Array) -> Array:
    """``time``, or a flag of its shape, with trailing axes of length 1 to broadcast to values."""
    return time.reshape(time.shape + (1,) * (values.ndim - time.ndim))
