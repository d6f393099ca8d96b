"""The transformer block over lanes: each lane has its own weights, attention runs over all of them.

One lane that holds every stream is the ordinary joint block; a lane for each stream is the
dual-stream block of MMDiT (Esser et al. 2024, figure 2) and of Flux's double blocks.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.layers.context_attention import attend
from mmjax.layers.linear import Linear
from mmjax.layers.mlp import Mlp
from mmjax.layers.modulation import Modulation, Spread, modulate
from mmjax.layers.norm import Norm
from mmjax.layers.positions import Rotary
from mmjax.sharding.constrain import constrain
from mmjax.typing import Array, Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """What the blocks of a stack have in common.

    Attributes:
      heads, kv_heads, head_size: geometry of the attention.
      mlp_ratio: hidden channels of the MLP over the lane's width.
      norm: ``"layer"`` or ``"rms"``.
      activation: of the MLP.
      qk_norm: RMS-normalise the queries and keys of each head, with a learned scale.
      rope: rotary embedding of queries and keys, or None.
      higher_order: see :func:`mmjax.layers.attention.attention`.
      dtype: type of the computation; parameters stay float32.
      norm_eps: added to the variance.
    """

    heads: int
    kv_heads: int
    head_size: int
    mlp_ratio: float
    norm: str
    activation: str
    qk_norm: bool
    rope: Rotary | None
    higher_order: bool
    dtype: str
    norm_eps: float = 1e-6


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Shared:
    """What every block of a stack receives.

    Attributes:
      conditions: for each lane ``[B, F, D]``, a vector for each distinct time; empty unmodulated.
      angles: ``[B, N, R]`` rotary angles of all lanes' tokens in order, or None.
      mask: what they may see of each other (or of the cache), or None.
      causal: whether a token sees, besides, only those up to itself.
      start: first free slot of the cache when decoding, or None.
      context: ``[B, M, D]`` encoded tokens for cross-attention, or None (also: those in the cache).
      context_mask: what each token may see of it.
    """

    conditions: Mapping[str, Float[Array, "B _ _"]] = dataclasses.field(default_factory=dict)
    angles: Float[Array, "B N R"] | None = None
    mask: Bool[Array, "..."] | None = None
    start: Int[Array, ""] | None = None
    context: Float[Array, "B M D"] | None = None
    context_mask: Bool[Array, "..."] | None = None
    causal: bool = dataclasses.field(default=False, metadata={"static": True})


def _linear(features: int, spec: BlockSpec, name: str | None = None) -> Linear:
    return Linear(features, spec.dtype, spec.higher_order, name=name)


class Heads(nn.Module):
    """A linear map to heads, normalised if the spec says so.

    Attributes:
      spec: the block's.
      count: number of heads.
      normalised: whether ``spec.qk_norm`` applies (not to values).
    """

    spec: BlockSpec
    count: int
    normalised: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N K h"]:
        """``x`` as ``count`` heads a token."""
        size = self.spec.head_size
        x = _linear(self.count * size, self.spec, name="linear")(x)
        x = x.reshape(*x.shape[:-1], self.count, size)
        x = constrain(x, "batch", "tokens", "heads", None)
        if self.normalised and self.spec.qk_norm:
            x = Norm("rms", name="norm")(x)
        return x


class Lane(nn.Module):
    """One lane's own part of a block, before and after the attention.

    Attributes:
      spec: the block's.
      width: channels of the lane's tokens.
      spread: from distinct times to the lane's tokens; None for a block without modulation.
      cross: whether the lane also attends to a context.
    """

    spec: BlockSpec
    width: int
    spread: Spread | None
    cross: bool

    def setup(self):
        """Makes the parts that ``before`` and ``after`` use."""
        spec, affine = self.spec, self.spread is None
        self.attention_norm = Norm(spec.norm, affine, spec.norm_eps)
        self.query = Heads(spec, spec.heads)
        self.key = Heads(spec, spec.kv_heads)
        self.value = Heads(spec, spec.kv_heads, normalised=False)
        self.out = _linear(self.width, spec)
        if self.cross:
            self.cross_attention = CrossAttention(spec, self.width)
        self.mlp_norm = Norm(spec.norm, affine, spec.norm_eps)
        hidden = int(spec.mlp_ratio * self.width)
        self.mlp = Mlp(hidden, spec.activation, spec.dtype, spec.higher_order)
        if self.spread is not None:
            self.modulation = Modulation(6, self.spread, spec.dtype)

    def before(
        self, x: Float[Array, "B N D"], condition: Float[Array, "B F D"] | None
    ) -> tuple[list[jax.Array], list[jax.Array] | None]:
        """Queries, keys and values of the lane's tokens, and the block's modulation."""
        y, modulation = self.attention_norm(x), None
        if self.spread is not None:
            modulation = self.modulation(condition)
            y = modulate(y, *modulation[:2])
        return [self.query(y), self.key(y), self.value(y)], modulation

    def after(
        self,
        x: Float[Array, "B N D"],
        attended: Float[Array, "B N K h"],
        modulation: list[jax.Array] | None,
        shared: Shared,
    ) -> Float[Array, "B N D"]:
        """The lane's tokens with what they attended to, then the context, then the MLP, added."""
        y = self.out(attended.reshape(*x.shape[:-1], -1))
        x = x + (y if modulation is None else modulation[2] * y)
        if self.cross:
            x = x + self.cross_attention(x, shared)
        y = self.mlp_norm(x)
        if modulation is None:
            return x + self.mlp(y)
        return x + modulation[5] * self.mlp(modulate(y, *modulation[3:5]))


class CrossAttention(nn.Module):
    """Attention from a lane to the context, whose keys and values are cached when decoding.

    Attributes:
      spec: the block's.
      width: channels of the lane's tokens.
    """

    spec: BlockSpec
    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"], shared: Shared) -> Float[Array, "B N D"]:
        """What the context says to each token."""
        spec = self.spec
        queries = Heads(spec, spec.heads, name="query")(
            Norm(spec.norm, eps=spec.norm_eps, name="norm")(x)
        )
        if shared.context is None:
            keys = self.get_variable("cache", "key")
            values = self.get_variable("cache", "value")
        else:
            keys = Heads(spec, spec.kv_heads, name="key")(shared.context)
            values = Heads(spec, spec.kv_heads, normalised=False, name="value")(shared.context)
            if shared.start is not None:
                self.put_variable("cache", "key", keys)
                self.put_variable("cache", "value", values)
        (y,) = attend(
            [queries], [keys], [values], shared.context_mask, higher_order=spec.higher_order
        )
        y = y.reshape(*x.shape[:-1], -1)
        return _linear(self.width, spec, name="out")(y)


class Block(nn.Module):
    """Attention over all lanes, then each lane's MLP.

    Attributes:
      spec: what all blocks have in common.
      lanes: name, width and spread of each lane, in token order.
      cross: whether lanes also attend to a context.
    """

    spec: BlockSpec
    lanes: tuple[tuple[str, int, Spread | None], ...]
    cross: bool = False

    @nn.compact
    def __call__(self, tokens: Mapping[str, jax.Array], shared: Shared) -> dict[str, jax.Array]:
        """The lanes' tokens ``[B, N, D]`` after this block."""
        spec = self.spec
        lanes = {
            name: Lane(spec, width, spread, self.cross, name=name)
            for name, width, spread in self.lanes
        }
        projected, modulations = {}, {}
        for name, lane in lanes.items():
            projected[name], modulations[name] = lane.before(
                tokens[name], shared.conditions.get(name)
            )
        queries, keys, values = (list(part) for part in zip(*projected.values(), strict=True))
        if spec.rope is not None:
            lengths = [x.shape[1] for x in queries]
            angles = jnp.split(shared.angles, np.cumsum(lengths)[:-1], axis=1)
            queries = list(map(spec.rope.rotate, queries, angles))
            keys = list(map(spec.rope.rotate, keys, angles))
        if shared.start is not None:
            new = (jnp.concatenate(x, axis=1) for x in (keys, values))
            keys, values = ([x] for x in self._remember(*new, shared.start))
        attended = attend(
            queries, keys, values, shared.mask,
            causal=shared.causal, higher_order=spec.higher_order,
        )  # fmt: skip
        return {
            name: lane.after(tokens[name], seen, modulations[name], shared)
            for (name, lane), seen in zip(lanes.items(), attended, strict=True)
        }

    def _remember(
        self, keys: jax.Array, values: jax.Array, start: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The cache with the new keys and values written from slot ``start`` on."""
        filled = []
        for name, new in (("key", keys), ("value", values)):
            cache = self.variable("cache", name, jnp.zeros, new.shape, new.dtype)
            if self.is_initializing():
                filled.append(new)
            else:
                at = (0, start, 0, 0)
                cache.value = jax.lax.dynamic_update_slice(cache.value, new, at)
                filled.append(cache.value)
        return filled[0], filled[1]
