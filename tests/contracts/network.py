"""One block of attention over streams, small enough to read, with which the toys try contracts."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.objectives.base import Objective
from mmjax.streams import StreamSpec

WIDTH = 8


@dataclasses.dataclass(frozen=True)
class Plain(Objective):
    """An objective without state, preparation or samples; a toy replaces what it needs."""

    networks: ClassVar[tuple[str, ...]] = ()

    def inputs(self, batch, key):
        return {name: (batch["x"],) for name in self.networks}

    def prepare(self, ctx, batch, key):
        return batch

    def sample(self, ctx, request, key):
        raise UserError("this objective generates nothing")


def make_spec(name, grid, process, *, field=None, channels=None, vocabulary=None, codec=None):
    """The facts of a stream whose positions count along the first grid axis."""
    positions = np.broadcast_to(
        np.arange(grid[0], dtype=np.float32).reshape(-1, *(1,) * len(grid)), (*grid, 1)
    )
    return StreamSpec(
        name=name, field=field or name, grid=grid, channels=channels, vocabulary=vocabulary,
        axes=("index",), grid_positions=positions, codec=codec, process=process,
    )  # fmt: skip


class Tokens(nn.Module):
    """Attention over the tokens of all streams present, in the order of ``outputs``.

    Attributes:
      outputs: for each stream the channels or the vocabulary that is predicted.
      causal: a token sees earlier streams, of its own all (continuous) or earlier tokens (codes);
        else all streams see each other. It never sees another segment.
      unseen: streams that only their own tokens see.
    """

    outputs: Mapping[str, int]
    causal: bool = True
    unseen: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, streams, *, train=False, decode=False):
        present = {name: streams[name] for name in self.outputs if name in streams}
        parts = [self._embed(name, stream) for name, stream in present.items()]
        x = jnp.concatenate(parts, axis=1)
        heads = [nn.Dense(WIDTH, use_bias=False, name=name)(x)[:, :, None] for name in "qkv"]
        query, key, value = heads
        visible = self._visible(present)
        if decode:
            key, value, visible = self._cached(key, value, visible)
        mixed = attention(query, key, value, visible[:, None])[:, :, 0]
        x = nn.gelu(x + nn.Dense(WIDTH, name="out")(mixed))
        ends = np.cumsum([part.shape[1] for part in parts])
        pieces = jnp.split(x, ends[:-1], axis=1)
        return {
            name: stream.replace(values=self._predict(name, stream, piece))
            for (name, stream), piece in zip(present.items(), pieces, strict=True)
        }

    def _embed(self, name, stream):
        values = stream.values
        if jnp.issubdtype(values.dtype, jnp.integer):  # parallel codebooks add up
            codes = values.reshape(*values.shape[:2], -1)
            codes = codes + jnp.arange(codes.shape[-1]) * self.outputs[name]
            size = codes.shape[-1] * self.outputs[name]
            x = nn.Embed(size, WIDTH, name=f"{name}_in")(codes).sum(-2)
        else:
            x = nn.Dense(WIDTH, name=f"{name}_in")(values)
        places = stream.positions.reshape(*x.shape[:2], -1)[..., :1]
        time = jnp.broadcast_to(stream.time.reshape(x.shape[0], -1)[:, :1], x.shape[:2])
        if stream.time.shape == x.shape[:2]:
            time = stream.time
        facts = jnp.concatenate([jnp.sin(places), jnp.cos(places), time[..., None]], axis=-1)
        return x + nn.Dense(WIDTH, name=f"{name}_facts")(facts)

    def _predict(self, name, stream, x):
        rest = stream.values.shape[2:]
        if jnp.issubdtype(stream.values.dtype, jnp.integer):
            out = nn.Dense(int(np.prod(rest)) * self.outputs[name], name=f"{name}_out")(x)
            return out.reshape(*x.shape[:2], *rest, self.outputs[name])
        return nn.Dense(self.outputs[name], name=f"{name}_out")(x)

    def _visible(self, present):
        batch = next(iter(present.values())).values.shape[0]
        rows = []
        for at, (name, stream) in enumerate(present.items()):
            flat = stream.mask.reshape(batch, stream.mask.shape[1], -1)
            content, length = flat.any(-1), flat.shape[1]
            codes = jnp.issubdtype(stream.values.dtype, jnp.integer)
            index = np.arange(length) if codes else np.zeros(length)
            hidden = np.full(length, name in self.unseen)
            segment = jnp.zeros((batch, length), jnp.int32)
            if stream.segments is not None:
                segment = stream.segments
            rows.append((content, np.full(length, at), index, hidden, segment))
        content, order, index, hidden, segment = (
            jnp.concatenate([jnp.broadcast_to(p, (batch, p.shape[-1])) for p in part], axis=1)
            for part in zip(*rows, strict=True)
        )
        same = order[:, :, None] == order[:, None]
        seen = segment[:, :, None] == segment[:, None]
        if self.causal:
            earlier = (order[:, :, None] > order[:, None]) & ~hidden[:, None]
            seen &= earlier | same & (index[:, :, None] >= index[:, None])
        return seen & content[:, None]

    def _cached(self, key, value, visible):
        empty = not self.has_variable("cache", "index")
        keys = self.variable("cache", "keys", jnp.zeros, key.shape)
        values = self.variable("cache", "values", jnp.zeros, value.shape)
        index = self.variable("cache", "index", jnp.zeros, (), jnp.int32)
        if empty:  # initialisation with all streams makes room for them
            return key, value, visible
        start, size = index.value, keys.value.shape[1]
        keys.value = jax.lax.dynamic_update_slice_in_dim(keys.value, key, start, axis=1)
        values.value = jax.lax.dynamic_update_slice_in_dim(values.value, value, start, axis=1)
        index.value = start + key.shape[1]
        own = jnp.zeros((*visible.shape[:2], size), bool)
        own = jax.lax.dynamic_update_slice_in_dim(own, visible, start, axis=2)
        return keys.value, values.value, own | (jnp.arange(size) < start)
