"""Into and out of the width of a model: times, stream values, pooled conditions."""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp

from mmjax.layers.modulation import Modulation, Spread, modulate
from mmjax.layers.norm import Norm
from mmjax.layers.positions import sinusoids
from mmjax.streams import Stream
from mmjax.typing import Array, Float

_normal = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Clock:
    """How a noise level in [0, 1] becomes the sinusoids that a network was published with.

    Attributes:
      scale, offset: the published clock reads ``scale * time + offset``; one that counts the steps
        of a :class:`mmjax.processes.gaussian.Gaussian` from 0 has offset -1.
      shift: see :func:`mmjax.layers.positions.sinusoids`.
      features: number of sinusoids.
    """

    scale: float = 1000.0
    offset: float = 0.0
    shift: float = 0.0
    features: int = 256

    def __call__(self, time: Float[Array, "*P"]) -> Float[Array, "*P W"]:
        """The cosines, then the sines, of ``time``."""
        clock = time.astype(jnp.float32) * self.scale + self.offset
        return sinusoids(clock, self.features, cosine_first=True, shift=self.shift)


class TimeEmbedding(nn.Module):
    """Noise level to a vector: sinusoids, linear, SiLU, linear (Peebles and Xie 2023, section 3.2).

    Attributes:
      width: size of the vector.
      clock: the sinusoids.
      dtype: type of the computation.
    """

    width: int
    clock: Clock
    dtype: str = "float32"

    @nn.compact
    def __call__(self, time: Float[Array, "B F"]) -> Float[Array, "B F D"]:
        """One vector for each time in [0, 1]."""
        x = nn.Dense(self.width, dtype=self.dtype, kernel_init=_normal, name="in")(self.clock(time))
        return nn.Dense(self.width, dtype=self.dtype, kernel_init=_normal, name="out")(nn.silu(x))


class StreamInput(nn.Module):
    """The values of patches to the width: a linear map, or the sum of the codes' embeddings.

    Attributes:
      width: size of the vectors.
      vocabulary: codes of a discrete stream, whose table has one block of rows for each cell of a
        patch; None for a continuous stream.
      dtype: type of the computation.
    """

    width: int
    vocabulary: int | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(self, values: Array) -> Float[Array, "... D"]:
        """``[B, *counts, features or cells]`` to ``[B, *counts, D]``."""
        if self.vocabulary is None:
            init = nn.initializers.xavier_uniform()
            return nn.Dense(self.width, dtype=self.dtype, kernel_init=init, name="linear")(values)
        cells = values.shape[-1]
        table = self.param("table", _normal, (cells * self.vocabulary, self.width))
        rows = values + self.vocabulary * jnp.arange(cells)
        return jnp.take(table.astype(self.dtype), rows, axis=0).sum(axis=-2)


class Pooled(nn.Module):
    """A condition stream as one vector: the mean of its tokens, or a learned one if it has none.

    Attributes:
      width, vocabulary, dtype: see :class:`StreamInput`.
    """

    width: int
    vocabulary: int | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(self, stream: Stream) -> Float[Array, "B 1 D"]:
        """The vector of a stream on the grid of its patches."""
        tokens = StreamInput(self.width, self.vocabulary, self.dtype, name="input")(stream.values)
        tokens = tokens.reshape(tokens.shape[0], -1, self.width)
        mask = stream.mask.reshape(*tokens.shape[:2], 1)
        null = self.param("null", _normal, (self.width,)).astype(tokens.dtype)
        count = mask.sum(axis=1, keepdims=True)
        mean = jnp.where(mask, tokens, 0).sum(axis=1, keepdims=True) / jnp.maximum(count, 1)
        return jnp.where(count > 0, mean, null)


class Condition(nn.Module):
    """What modulates a lane: the embedded times plus the vectors of the pooled streams.

    Attributes:
      width: of the lane.
      clock: see :class:`TimeEmbedding`.
      pooled: name and vocabulary (None: continuous) of each pooled stream.
      dtype: type of the computation.
    """

    width: int
    clock: Clock
    pooled: tuple[tuple[str, int | None], ...] = ()
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, times: Float[Array, "B F"], streams: Mapping[str, Stream]
    ) -> Float[Array, "B F D"]:
        """One vector for each distinct time; ``streams`` are on the grids of their patches."""
        x = TimeEmbedding(self.width, self.clock, self.dtype, name="time")(times)
        for name, vocabulary in self.pooled:
            x = x + Pooled(self.width, vocabulary, self.dtype, name=name)(streams[name])
        return x


class StreamOutput(nn.Module):
    """Tokens to predictions: normalisation, modulation, linear.

    Attributes:
      features: channels times cells of a patch, or codes times cells.
      norm: see :class:`mmjax.layers.norm.Norm`.
      spread: how times spread over the tokens; None without modulation.
      dtype: type of the computation; predictions are float32.
    """

    features: int
    norm: str
    spread: Spread | None = None
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B N D"], condition: Float[Array, "B F D"] | None
    ) -> Float[Array, "B N O"]:
        """The prediction of each token; zero at initialisation if modulated, as in DiT."""
        modulated = self.spread is not None
        x = Norm(self.norm, affine=not modulated, name="norm")(x)
        if modulated:
            shift, scale = Modulation(2, self.spread, self.dtype, name="modulation")(condition)
            x = modulate(x, shift, scale)
        init = nn.initializers.zeros if modulated else _normal
        x = nn.Dense(self.features, dtype=self.dtype, kernel_init=init, name="linear")(x)
        return x.astype(jnp.float32)
