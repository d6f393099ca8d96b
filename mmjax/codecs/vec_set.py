"""The autoencoder of shapes as sets of vectors: points of a surface to latents, to occupancy.

3DShape2VecSet (Zhang et al. 2023, 2301.11445), section 5.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.norm import Norm
from mmjax.layers.stack import Stack
from mmjax.typing import Array, Float, Int

_OCTAVES = 8
_EPS = 1e-5


def farthest(points: Float[Array, "B N 3"], count: int) -> Int[Array, "B M"]:
    """Indices of ``count`` points, each the farthest from those before it.

    The first is the one farthest from the mean, so that the order of the points does not matter.
    """

    def nearest(chosen: Float[Array, "B 3"]) -> Float[Array, "B N"]:
        return jnp.sum(jnp.square(points - chosen[:, None]), axis=-1)

    def pick(distances: Float[Array, "B N"], _: None):
        index = jnp.argmax(distances, axis=-1)
        chosen = jnp.take_along_axis(points, index[:, None, None], axis=1)[:, 0]
        return jnp.minimum(distances, nearest(chosen)), index

    first = jnp.argmax(nearest(jnp.mean(points, axis=1)), axis=-1)
    chosen = jnp.take_along_axis(points, first[:, None, None], axis=1)[:, 0]
    _, others = jax.lax.scan(pick, nearest(chosen), None, length=count - 1)
    return jnp.concatenate([first[None], others]).T.astype(jnp.int32)


class PointEmbedding(nn.Module):
    """Points by sines and cosines of eight octaves of each coordinate, and themselves (eq. 2).

    Attributes:
      width: channels of the embedding.
    """

    width: int

    @nn.compact
    def __call__(self, points: Float[Array, "B N 3"]) -> Float[Array, "B N D"]:
        """One token for each point of [-1, 1]^3."""
        angles = points[..., None] * (math.pi * 2.0 ** jnp.arange(_OCTAVES))
        angles = angles.reshape(*points.shape[:2], -1)
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles), points], axis=-1)
        return nn.Dense(self.width, name="linear")(waves)


class Attend(nn.Module):
    """Pre-norm attention from tokens to themselves or to a context.

    Attributes:
      heads: attention heads.
      size: channels of a head.
      crossed: whether there is a context, which then has a norm of its own.
    """

    heads: int
    size: int
    crossed: bool

    @nn.compact
    def __call__(
        self, x: Float[Array, "B N D"], context: Float[Array, "B M D"] | None = None
    ) -> Float[Array, "B N D"]:
        """What each token takes up."""
        y = Norm(eps=_EPS, name="norm")(x)
        seen = Norm(eps=_EPS, name="context_norm")(context) if self.crossed else y

        def heads(tokens: Array, name: str) -> Array:
            found = nn.Dense(self.heads * self.size, use_bias=False, name=name)(tokens)
            return found.reshape(*tokens.shape[:2], self.heads, self.size)

        found = attention(heads(y, "query"), heads(seen, "key"), heads(seen, "value"))
        return nn.Dense(x.shape[-1], name="out")(found.reshape(*x.shape[:2], -1))


class Gated(nn.Module):
    """Pre-norm feed-forward layer with a GELU gate (Shazeer 2020, eq. 6), four times as wide."""

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """What each token makes of itself."""
        width = x.shape[-1]
        y = nn.Dense(8 * width, name="up")(Norm(eps=_EPS, name="norm")(x))
        y, gates = jnp.split(y, 2, axis=-1)
        return nn.Dense(width, name="down")(y * jax.nn.gelu(gates, approximate=False))


class SelfBlock(nn.Module):
    """Attention of the latents to each other, and a gated layer.

    Attributes:
      heads: attention heads.
      size: channels of a head.
    """

    heads: int
    size: int

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The tokens, changed."""
        x = x + Attend(self.heads, self.size, crossed=False, name="attend")(x)
        return x + Gated(name="gated")(x)


class VecSet(nn.Module):
    """A surface as a set of latent vectors, and whether points of space are inside it.

    The encoder lets a few of the points, far from each other, attend to all of them; the decoder
    lets the latents attend to each other and any points to them (sections 5.1 to 5.3).

    Attributes:
      latents: how many vectors.
      size: numbers of a vector.
      width: channels within.
      depth: blocks of the decoder.
      heads: attention heads of these blocks, of 64 channels each.
    """

    latents: int = 512
    size: int = 64
    width: int = 512
    depth: int = 24
    heads: int = 8

    def setup(self):
        """The parts, in the order of use."""
        self.embed = PointEmbedding(self.width)
        self.gather = Attend(1, self.width, crossed=True)
        self.refine = Gated()
        self.moments = nn.Dense(2 * self.size)
        self.widen = nn.Dense(self.width)
        self.blocks = Stack(functools.partial(SelfBlock, self.heads, 64), self.depth)
        self.ask = Attend(1, self.width, crossed=True)
        self.answer = nn.Dense(1)

    def encode(self, points: Float[Array, "B N 3"]) -> DiagonalNormal:
        """The posterior ``[B, M, Z]`` over the latents of a surface's points in [-1, 1]^3."""
        if points.shape[1] < self.latents:
            raise UserError(
                f"VecSet: {points.shape[1]} points are fewer than {self.latents} latents"
            )
        chosen = farthest(points, self.latents)
        tokens = self.embed(points)
        x = jnp.take_along_axis(tokens, chosen[..., None], axis=1)
        x = x + self.gather(x, tokens)
        mean, logvar = jnp.split(self.moments(x + self.refine(x)), 2, axis=-1)
        return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))

    def decode(
        self, latents: Float[Array, "B M Z"], queries: Float[Array, "B Q 3"]
    ) -> Float[Array, "B Q"]:
        """The logits of being inside, of points of space."""
        x = self.blocks(self.widen(latents))
        return self.answer(self.ask(self.embed(queries), x))[..., 0]

    def __call__(
        self, points: Float[Array, "B N 3"], queries: Float[Array, "B Q 3"]
    ) -> Float[Array, "B Q"]:
        """The same for the posterior's mean."""
        return self.decode(self.encode(points).mean, queries)
