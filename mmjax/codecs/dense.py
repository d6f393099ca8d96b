"""Autoencoders of dense layers: a whole example to one normal vector, and back."""

import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.streams import StreamSpec
from mmjax.typing import Array, Float


class Layers(nn.Module):
    """Dense layers with SiLU between them; codes at the first are rows of a table.

    Attributes:
      widths: of the layers before the last.
      features: of the last one.
      vocabulary: number of codes where the input is of codes, else 0.
    """

    widths: tuple[int, ...]
    features: int
    vocabulary: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Float[Array, "N D"]:
        """``features`` numbers for each example."""
        widths = self.widths
        if self.vocabulary:
            (first, *widths) = widths
            x = nn.silu(nn.Embed(self.vocabulary, first, name="codes")(x))
        x = x.reshape(len(x), -1)
        for index, width in enumerate(widths):
            x = nn.silu(nn.Dense(width, name=f"dense_{index}")(x))
        return nn.Dense(self.features, name="out")(x)


class DenseAutoencoder(nn.Module):
    """A variational autoencoder of one stream (Kingma & Welling 2013, 1312.6114, appendix C).

    Attributes:
      streams: the system's streams.
      stream: the one that is coded.
      latents: numbers that stand for an example.
      encoder: widths of the encoder's layers before its last.
      decoder: widths of the decoder's layers before its last.
    """

    streams: Mapping[str, StreamSpec]
    stream: str
    latents: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]

    def setup(self):
        """The two halves."""
        spec = self.streams[self.stream]
        self.read = Layers(self.encoder, 2 * self.latents, spec.vocabulary or 0)
        self.write = Layers(self.decoder, math.prod(_output(spec)))

    def encode(self, values: Array) -> DiagonalNormal:
        """The posterior ``[B, Z]`` of the stream's values or codes ``[B, ...]``."""
        return _normal(self.read(values))

    def decode(self, latents: Float[Array, "N Z"]) -> Float[Array, "N *grid C"]:
        """The stream's values or, of codes, logits."""
        return self.write(latents).reshape(len(latents), *_output(self.streams[self.stream]))

    def __call__(self, values: Array) -> Float[Array, "N *grid C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(values).mean)


class ConditionalAutoencoder(nn.Module):
    """A variational autoencoder of one stream under another one, of codes (Sohn et al. 2015).

    Attributes:
      streams: the system's streams.
      stream: the one that is coded.
      condition: the one that all three networks read: encoder, decoder and prior.
      latents: numbers that stand for an example.
      widths: of the layers before the last of each network.
    """

    streams: Mapping[str, StreamSpec]
    stream: str
    condition: str
    latents: int
    widths: tuple[int, ...]

    def setup(self):
        """The recognition, prior and generation networks (ibid., section 4.1)."""
        self.read = Layers(self.widths, 2 * self.latents)
        self.expect = Layers(self.widths, 2 * self.latents)
        self.write = Layers(self.widths, math.prod(_output(self.streams[self.stream])))

    def encode(self, values: Array, condition: Array) -> DiagonalNormal:
        """q(z | x, c)."""
        return _normal(self.read(self._beside(values, condition)))

    def prior(self, condition: Array) -> DiagonalNormal:
        """p(z | c)."""
        return _normal(self.expect(self._table(condition)))

    def decode(self, latents: Float[Array, "B Z"], condition: Array) -> Float[Array, "B *grid C"]:
        """The stream's values or, of codes, logits."""
        found = self.write(self._beside(latents, condition))
        return found.reshape(len(latents), *_output(self.streams[self.stream]))

    def __call__(self, values: Array, condition: Array) -> Float[Array, "B *grid C"]:
        """The reconstruction from the means of posterior and prior."""
        latents = self.encode(values, condition).mean + self.prior(condition).mean
        return self.decode(latents, condition)

    def _beside(self, values: Array, condition: Array) -> Float[Array, "B D"]:
        rows = values.reshape(len(values), -1), self._table(condition)
        return jnp.concatenate(rows, axis=-1)

    def _table(self, condition: Array) -> Float[Array, "B D"]:
        found = jax.nn.one_hot(condition, self.streams[self.condition].vocabulary)
        return found.reshape(len(condition), -1)


def _normal(moments: Float[Array, "B D"]) -> DiagonalNormal:
    mean, logvar = jnp.split(moments, 2, axis=-1)
    return DiagonalNormal(mean, jnp.clip(logvar, -30.0, 20.0))


def _output(spec: StreamSpec) -> tuple[int, ...]:
    """The shape of what a decoder gives of one example."""
    return (*spec.grid, spec.vocabulary if spec.discrete else spec.channels)
