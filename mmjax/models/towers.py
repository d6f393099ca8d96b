"""Contrastive towers: one encoder per stream into a common space (CLIP; Radford et al. 2021)."""

import functools
import math
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.layers.block import Block, BlockSpec, Shared
from mmjax.layers.masks import causal
from mmjax.layers.norm import Norm
from mmjax.layers.stack import Stack
from mmjax.streams import Stream
from mmjax.typing import Array, Bool, Float, Int

_EPS = 1e-5
_LANE = "tokens"


class Encoder(nn.Module):
    """Pre-norm transformer blocks over one sequence, with CLIP's activation.

    Attributes:
      depth: number of blocks.
      heads: attention heads.
    """

    depth: int
    heads: int

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "B N D"], mask: Bool[Array, "..."] | None = None
    ) -> Float[Array, "B N D"]:
        """The tokens after all blocks; ``mask`` says which keys a query sees."""
        width = tokens.shape[-1]
        spec = BlockSpec(
            heads=self.heads,
            kv_heads=self.heads,
            head_size=width // self.heads,
            mlp_ratio=4.0,
            norm="layer",
            norm_eps=_EPS,
            activation="quick_gelu",
            qk_norm=False,
            rope=None,
            higher_order=False,
            dtype="float32",
        )
        block = functools.partial(Block, spec, ((_LANE, width, None),))
        return Stack(block, self.depth, name="stack")({_LANE: tokens}, Shared(mask=mask))[_LANE]


def _projection(features: int, width: int) -> nn.Dense:
    init = nn.initializers.normal(width**-0.5)
    return nn.Dense(features, use_bias=False, kernel_init=init, name="project")


class ImageTower(nn.Module):
    """A vision transformer whose class token stands for the image (section 2.4).

    Attributes:
      features: size of the embedding.
      patch: side of a patch in pixels.
      width, depth, heads: geometry of the transformer.
    """

    features: int
    patch: int
    width: int
    depth: int
    heads: int

    @nn.compact
    def __call__(self, stream: Stream) -> Float[Array, "B E"]:
        """The embedding of images ``[B, H, W, C]``."""
        images, side = stream.values, self.patch
        if images.shape[1] % side or images.shape[2] % side:
            raise UserError(
                f"image of {images.shape[1]}x{images.shape[2]} pixels: ImageTower takes sides "
                f"that are multiples of patch={side}"
            )
        patches = nn.Conv(
            self.width, (side, side), (side, side), "VALID", use_bias=False, name="patch"
        )(images)
        patches = patches.reshape(images.shape[0], -1, self.width)
        init = nn.initializers.normal(self.width**-0.5)
        first = self.param("class_token", init, (self.width,))
        first = jnp.broadcast_to(first, (images.shape[0], 1, self.width))
        tokens = jnp.concatenate([first, patches], axis=1)
        tokens = tokens + self.param("positions", init, tokens.shape[1:])
        tokens = Norm("layer", eps=_EPS, name="norm_in")(tokens)
        tokens = Encoder(self.depth, self.heads, name="encoder")(tokens)
        pooled = Norm("layer", eps=_EPS, name="norm_out")(tokens[:, 0])
        return _projection(self.features, self.width)(pooled)


class TextTower(nn.Module):
    """A causal transformer whose last token, the end mark, stands for the text (section 2.4).

    Attributes:
      features: size of the embedding.
      vocabulary: number of token ids.
      width, depth, heads: geometry of the transformer.
    """

    features: int
    vocabulary: int
    width: int
    depth: int
    heads: int

    @nn.compact
    def __call__(self, stream: Stream) -> Float[Array, "B E"]:
        """The embedding of tokens ``[B, N]``, read at the last one that the stream's mask shows."""
        ids, init = stream.values, nn.initializers.normal(0.02)
        table = nn.Embed(self.vocabulary, self.width, embedding_init=init, name="embed")
        positions = self.param(
            "positions", nn.initializers.normal(0.01), (ids.shape[1], self.width)
        )
        mask = causal(ids.shape[1])
        tokens = Encoder(self.depth, self.heads, name="encoder")(table(ids) + positions, mask)
        pooled = Norm("layer", eps=_EPS, name="norm_out")(last_token(tokens, stream.mask))
        return _projection(self.features, self.width)(pooled)


def last_token(tokens: Float[Array, "B N D"], mask: Bool[Array, "B N"]) -> Float[Array, "B D"]:
    """The last token of each row that ``mask`` shows; the first where it shows none."""
    index: Int[Array, B] = jnp.max(jnp.where(mask, jnp.arange(mask.shape[1]), 0), axis=1)
    return jnp.take_along_axis(tokens, index[:, None, None], axis=1)[:, 0]


class Towers(nn.Module):
    """One tower per stream, and the learned sharpness of their agreement.

    Attributes:
      towers: by stream name; each maps its stream to ``[B, E]``.
    """

    towers: Mapping[str, nn.Module]

    @nn.compact
    def __call__(self, streams: Mapping[str, Stream]) -> tuple[dict[str, Array], Float[Array, ""]]:
        """Embeddings of unit length ``{stream: [B, E]}``, and the log of the logits' scale."""
        embeddings = {name: tower(streams[name]) for name, tower in self.towers.items()}
        embeddings = {
            name: x / jnp.linalg.norm(x, axis=-1, keepdims=True) for name, x in embeddings.items()
        }
        return embeddings, self.param("log_scale", nn.initializers.constant(math.log(1 / 0.07)), ())
