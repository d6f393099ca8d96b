"""Mimi: speech to slow rows of codes, the first for content, by convolutions and transformers."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.audio.dilated import to_length
from mmjax.codecs.audio.seanet import (
    Decoder,
    Encoder,
    PaddedConv,
    Sizes,
    Style,
    TrimmedConvTranspose,
)
from mmjax.codecs.quantisers.base import Quantised
from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.residual import RANDOM, Residual
from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.causal_conv import join, past_of
from mmjax.layers.norm import Norm
from mmjax.layers.positions import Rotary
from mmjax.layers.stack import Stack
from mmjax.typing import Array, Float, Int

_SLOWER = 2  # codes are at this fraction of the transformers' rate
_EPS = 1e-5


class Mimi(nn.Module):
    """The waveform codec of Moshi (Defossez et al. 2024, 2410.00037, section 3.3).

    The defaults are the published ones: 79,308,609 parameters, 24 kHz at 12.5 steps a second with
    32 codes each. Both halves are causal and take chunks of any number of steps.

    Attributes:
      rate: samples per second.
      channels: channels of the sound.
      filters: channels of the first layer.
      ratios: strides of the convolutions, highest rate first.
      units: residual units per rate.
      kernel: taps of the first convolution.
      last: taps of the last convolution.
      inner: taps within residual units.
      features: width of the transformers.
      depth: their blocks.
      heads: their attention heads.
      hidden: channels within their MLPs.
      window: how many steps a step sees, itself included.
      semantic: levels that are quantised for content, apart from the others.
      levels: codes per step in all.
      vocabulary: entries of each codebook.
      size: length of an entry.
      dropout: the probability with which an example loses levels in training, the first ones for
        content apart.
      bypass: the probability with which an example goes on unquantised in training; it moves the
        codebooks all the same.
      reset: the average count of vectors per step below which an entry of a codebook restarts.
    """

    rate: int = 24_000
    channels: int = 1
    filters: int = 64
    ratios: tuple[int, ...] = (4, 5, 6, 8)
    units: int = 1
    kernel: int = 7
    last: int = 3
    inner: int = 3
    features: int = 512
    depth: int = 8
    heads: int = 8
    hidden: int = 2048
    window: int = 250
    semantic: int = 1
    levels: int = 32
    vocabulary: int = 2048
    size: int = 256
    dropout: float = 0.0
    bypass: float = 0.0
    reset: float = 0.0

    causal_methods = ("encode", "decode")

    def setup(self):
        """The halves, their transformers, what changes the rate between, and the quantisers."""
        width, slower = self.features, 2 * _SLOWER
        sizes = Sizes(
            self.filters, self.ratios, self.units, 0, self.kernel, self.last, self.inner, False
        )
        style = Style(True, "constant", "none")
        self.encoder = Encoder(sizes, width, style)
        self.decoder = Decoder(sizes, self.channels, style)
        block = functools.partial(Block, self.heads, self.hidden, self.window)
        self.encoder_transformer = Stack(block, self.depth)
        self.decoder_transformer = Stack(block, self.depth)
        edge = Style(True, "edge", "none")
        self.down = PaddedConv(width, slower, edge, _SLOWER, bias=False)
        self.up = TrimmedConvTranspose(width, slower, _SLOWER, style, groups=width, bias=False)
        parts = {
            "vocabulary": self.vocabulary, "size": self.size, "features": width,
            "reset": self.reset,
        }  # fmt: skip
        self.content = Projected(levels=self.semantic, **parts)
        levels = self.levels - self.semantic
        self.sound = Projected(levels=levels, dropout=self.dropout, **parts)

    @property
    def strides(self) -> tuple[int]:
        """Samples per step."""
        return (math.prod(self.ratios) * _SLOWER,)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of steps of a waveform ``(samples, channels)``, the last one rounded up.

        Raises:
          UserError: there is no sound.
        """
        if not raw_shape[0]:
            raise UserError("sound of 0 samples: Mimi takes 1 and more")
        return (-(-raw_shape[0] // self.strides[0]),)

    def encode(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Quantised:
        """Codes ``[B, N, Q]`` of waveforms in [-1, 1]; with ``train`` codebooks move."""
        self.grid(sound.shape[1:])
        x = self.down(self.encoder_transformer(self.encoder(sound)))
        content, rest = self.content(x, train=train), self.sound(x, train=train)
        losses = {name: loss + rest.losses[name] for name, loss in content.losses.items()}
        codes = jnp.concatenate([content.codes, rest.codes], axis=-1)
        values = content.values + rest.values
        if train and self.bypass:
            chance = self.make_rng(RANDOM)
            values = jnp.where(jax.random.bernoulli(chance, self.bypass, (len(x), 1, 1)), x, values)
        return Quantised(x, values, codes, losses, vocabulary=self.vocabulary)

    def decode(self, codes: Int[Array, "B N Q"] | Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """Waveforms from codes (of the first levels, if not all) or from vectors."""
        if jnp.issubdtype(codes.dtype, jnp.integer):
            split = jnp.split(codes, [self.semantic], axis=-1)
            codes = self.content.lookup(split[0])
            if split[1].shape[-1]:
                codes = codes + self.sound.lookup(split[1])
        return self.decoder(self.decoder_transformer(self.up(codes)))

    def __call__(
        self, sound: Float[Array, "B L C"], *, train: bool = False
    ) -> Float[Array, "B L C"]:
        """The reconstruction, as long as the input."""
        return to_length(self.decode(self.encode(sound, train=train).values), sound.shape[1])


class Projected(nn.Module):
    """Residual codes between two projections.

    Attributes:
      levels: codes per step.
      vocabulary: entries of each codebook.
      size: length of an entry.
      features: length of the vectors that come and go.
      dropout: the probability with which an example loses levels in training.
      reset: the average count of vectors per step below which an entry of a codebook restarts.
    """

    levels: int
    vocabulary: int
    size: int
    features: int
    dropout: float = 0.0
    reset: float = 0.0

    def setup(self):
        """The projections and the quantisers between them."""
        level = MovingAverage(self.vocabulary, self.size, stored=False, reset=self.reset)
        self.quantiser = Residual(level, self.levels, self.dropout)
        self.project = nn.Dense(self.size, use_bias=False)
        self.unproject = nn.Dense(self.features, use_bias=False)

    def __call__(self, x: Float[Array, "B N D"], *, train: bool = False) -> Quantised:
        """Quantises."""
        found = self.quantiser(self.project(x), train=train)
        return dataclasses.replace(found, mean=x, values=self.unproject(found.values))

    def lookup(self, codes: Int[Array, "B N Q"]) -> Float[Array, "B N D"]:
        """The vectors of these codes."""
        return self.unproject(self.quantiser.lookup(codes))


class Block(nn.Module):
    """A causal transformer block whose branches are scaled by channel (ibid.).

    Attributes:
      heads: attention heads.
      hidden: channels within the MLP.
      window: how many steps a step sees, itself included.
    """

    heads: int
    hidden: int
    window: int

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """The steps of a clip, or of a chunk of one."""
        width, small = x.shape[-1], nn.initializers.constant(0.01)
        y = self._attend(Norm(eps=_EPS, name="attention_norm")(x))
        x = x + self.param("attention_scale", small, (width,)) * y
        y = Norm(eps=_EPS, name="mlp_norm")(x)
        y = nn.gelu(nn.Dense(self.hidden, use_bias=False, name="up")(y), approximate=False)
        y = nn.Dense(width, use_bias=False, name="down")(y)
        return x + self.param("mlp_scale", small, (width,)) * y

    def _attend(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        batch, steps, width = x.shape
        query, key, value = (
            nn.Dense(width, use_bias=False, name=name)(x) for name in ("query", "key", "value")
        )
        pairs, past = jnp.concatenate([key, value], axis=-1), past_of(self)
        seen = steps + (0 if past is None else past.shape[1])
        pairs = join(self, pairs, pairs[:, :0], min(seen, self.window - 1))
        key, value = jnp.split(pairs, 2, axis=-1)
        size = width // self.heads
        query, key, value = (
            part.reshape(batch, -1, self.heads, size) for part in (query, key, value)
        )
        # Only distances count, so that places may count from the oldest step that is kept.
        place = jnp.arange(seen)
        rope = Rotary(("index",), (size,), (1.0,))
        places = jnp.broadcast_to(place[:, None].astype(jnp.float32), (batch, seen, 1))
        angles = rope.angles(places, ("index",))
        query, key = rope.rotate(query, angles[:, seen - steps :]), rope.rotate(key, angles)
        before = place[seen - steps :, None] - place
        mask = (before >= 0) & (before < self.window)
        y = attention(query, key, value, mask[None, None])
        return nn.Dense(width, use_bias=False, name="out")(y.reshape(x.shape))
