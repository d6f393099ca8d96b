"""Streams, one after the other, as the tokens of one sequence: what they see, where they stand."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from mmjax.layers import masks
from mmjax.layers.modulation import Spread
from mmjax.layers.positions import Rotary
from mmjax.streams import Stream
from mmjax.typing import Array, Bool, Float, Int

PROGRAMS = ("full", "causal", "frame_causal")


@dataclasses.dataclass(frozen=True)
class Part:
    """One stream of a sequence.

    Attributes:
      stream: on the grid of its patches, one token each.
      axes: the names of its position axes.
      program: ``"full"``; or, between its tokens and any others, only the later sees the earlier:
        in the order of the sequence (``"causal"``) or in seconds (``"frame_causal"``, where a
        stream without a time axis precedes all frames).
    """

    stream: Stream
    axes: tuple[str, ...]
    program: str = "full"

    @property
    def grid(self) -> tuple[int, ...]:
        """Tokens along each axis of the grid."""
        return self.stream.mask.shape[1:]

    @property
    def mask(self) -> Bool[Array, "B N"]:
        """Which tokens have content."""
        return self.stream.mask.reshape(self.stream.mask.shape[0], -1)

    @property
    def positions(self) -> Float[Array, "B N A"]:
        """The tokens' positions."""
        positions = self.stream.positions
        return positions.reshape(positions.shape[0], -1, positions.shape[-1])

    @property
    def segments(self) -> Int[Array, "B N"]:
        """The tokens' segments; 0 for a stream that has none."""
        if self.stream.segments is None:
            return jnp.zeros(self.mask.shape, jnp.int32)
        return self.stream.segments.reshape(self.mask.shape)

    @property
    def times(self) -> Float[Array, "B F"]:
        """The distinct noise levels."""
        return self.stream.time.reshape(self.stream.time.shape[0], -1)

    @property
    def seconds(self) -> Float[Array, "B N"]:
        """The tokens' places on the time axis; before all if the stream has none."""
        if "time" not in self.axes:
            return jnp.full(self.mask.shape, -jnp.inf)
        return self.positions[..., self.axes.index("time")]


def content(parts: Sequence[Part]) -> Bool[Array, "B N"]:
    """Which tokens of the sequence have content."""
    return jnp.concatenate([part.mask for part in parts], axis=1)


def segments(parts: Sequence[Part]) -> Int[Array, "B N"] | None:
    """The segment of each token; None if no stream is packed."""
    if all(part.stream.segments is None for part in parts):
        return None
    return jnp.concatenate([part.segments for part in parts], axis=1)


def visible(queries: Sequence[Part], keys: Sequence[Part]) -> Bool[Array, "..."]:
    """The keys that have content and are of the query's segment."""
    mask = masks.padding(content(keys))
    query_segments, key_segments = segments(queries), segments(keys)
    if query_segments is None or key_segments is None:
        return mask
    return mask & masks.same_segment(query_segments, key_segments)


def self_visible(parts: Sequence[Part]) -> Bool[Array, "..."]:
    """What tokens of one sequence see of each other: :func:`visible` and their programs.

    Where all are causal, that is left to the attention; see :func:`all_causal`.
    """
    mask, allowed = visible(parts, parts), None if all_causal(parts) else _allowed(parts)
    return mask if allowed is None else mask & allowed


def all_causal(parts: Sequence[Part]) -> bool:
    """Whether every token sees those up to itself, in the order of the sequence."""
    return all(part.program == "causal" for part in parts)


def cache_visible(
    parts: Sequence[Part], filled: Bool[Array, "B M"], start: Int[Array, ""]
) -> Bool[Array, "B 1 N M"]:
    """What new tokens see of a cache that holds them already, from slot ``start`` on."""
    allowed = _allowed(parts)
    if allowed is None:
        length = sum(part.mask.shape[1] for part in parts)
        allowed = jnp.ones((1, 1, length, length), bool)
    return masks.padding(filled) & masks.grow(allowed, start, filled.shape[1])


def angles(parts: Sequence[Part], rope: Rotary | None) -> Float[Array, "B N R"] | None:
    """The rotary angles of the tokens; None without rotary positions."""
    if rope is None:
        return None
    return jnp.concatenate([rope.angles(part.positions, part.axes) for part in parts], axis=1)


def padded(parts: Sequence[Part], count: int) -> list[Part]:
    """``parts``, and one more of ``count`` tokens without content unless that is 0."""
    if not count:
        return list(parts)
    like = parts[-1]
    batch, axes = like.positions.shape[0], like.positions.shape[-1]
    stream = Stream(
        values=jnp.zeros((batch, count, 1)),
        time=jnp.zeros(batch),
        mask=jnp.zeros((batch, count), bool),
        positions=jnp.zeros((batch, count, axes)),
    )
    return [*parts, Part(stream, like.axes, like.program)]


def spread(parts: Sequence[Part], padding: int = 0) -> Spread:
    """How the parts' distinct times spread over the tokens and those that pad them."""
    grids = []
    for part in parts:
        times = part.stream.time.shape[1:]
        grids.append((times or (1,) * len(part.grid), part.grid))
    return Spread(tuple(grids), padding)


def _allowed(parts: Sequence[Part]) -> Bool[Array, "b 1 N N"] | None:
    """What the programs let tokens see of each other; None if everything."""
    if unknown := {part.program for part in parts} - set(PROGRAMS):
        raise ValueError(f"attention programs {sorted(unknown)} are none of {PROGRAMS}")
    programs = np.concatenate([np.full(part.mask.shape[1], part.program) for part in parts])
    allowed = None
    if "causal" in programs:
        free = ~_either(programs == "causal")
        allowed = masks.causal(len(programs)) | free
    if "frame_causal" in programs:
        seconds = jnp.concatenate([part.seconds for part in parts], axis=1)
        free = ~_either(programs == "frame_causal")
        framed = masks.frame_causal(seconds, seconds) | free
        allowed = framed if allowed is None else allowed & framed
    return allowed


def _either(tokens: np.ndarray) -> np.ndarray:
    """Pairs ``[N, N]`` of which either is among ``tokens``."""
    return tokens[:, None] | tokens[None, :]
