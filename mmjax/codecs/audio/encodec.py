"""EnCodec: sound to residual codes, as one stream or in overlapping segments of equal loudness."""

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.audio.dilated import to_length
from mmjax.codecs.audio.seanet import Decoder, Encoder, Sizes, Style
from mmjax.codecs.quantisers.base import Quantised
from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.residual import Residual
from mmjax.errors import UserError
from mmjax.tree import pytree
from mmjax.typing import Array, Float, Int, PRNGKeyArray


@pytree
@dataclasses.dataclass(frozen=True)
class Scaled(Quantised):
    """Codes ``[B, N, Q]`` of segments in a row, beside what each was divided by.

    Attributes:
      scales: ``[B, S]``; ones where loudness is left alone.
    """

    scales: Float[Array, "B S"]

    def read(
        self, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "B N D"], Float[Array, "B S"]]:
        """What the decoder takes, with or without a key."""
        return self.values, self.scales


class Encodec(nn.Module):
    """The waveform codec of Defossez et al. 2022 (2210.13438).

    The defaults are those at 24 kHz: 14,851,810 parameters, one causal stream of 75 steps a second
    with 32 codes each, taken in chunks of any number of steps (the first of at least 7). At 48 kHz
    (``channels=2, levels=16, causal=False, norm="group", seconds=1.0, overlap=0.01, even=True``)
    sound is cut into segments that are coded apart and cross-faded.

    Attributes:
      rate: samples per second.
      channels: channels of the sound.
      filters: channels of the first layer.
      ratios: strides, highest rate first.
      units: residual units per rate.
      memories: layers of recurrence.
      kernel: taps of the first convolution.
      last: taps of the last convolution.
      inner: taps within residual units.
      features: channels that are quantised.
      levels: codes per step.
      vocabulary: entries of each codebook.
      causal: whether a step sees none after it.
      norm: see :class:`mmjax.codecs.audio.seanet.Style`.
      projected: whether shortcuts are convolutions.
      seconds: length of a segment; 0 for the whole sound at once.
      overlap: share of a segment that the next one covers too.
      even: whether each segment is divided by its root mean square before coding.
      dropout: the probability with which an example loses levels in training.
      reset: the average count of vectors per step below which an entry of a codebook restarts.
    """

    rate: int = 24_000
    channels: int = 1
    filters: int = 32
    ratios: tuple[int, ...] = (2, 4, 5, 8)
    units: int = 1
    memories: int = 2
    kernel: int = 7
    last: int = 7
    inner: int = 3
    features: int = 128
    levels: int = 32
    vocabulary: int = 1024
    causal: bool = True
    norm: str = "weight"
    projected: bool = True
    seconds: float = 0.0
    overlap: float = 0.0
    even: bool = False
    dropout: float = 0.0
    reset: float = 0.0

    def setup(self):
        """The two halves and what stands between them."""
        sizes = Sizes(
            self.filters, self.ratios, self.units, self.memories, self.kernel, self.last,
            self.inner, self.projected,
        )  # fmt: skip
        style = Style(self.causal, "reflect", self.norm)
        self.encoder = Encoder(sizes, self.features, style)
        self.decoder = Decoder(sizes, self.channels, style)
        level = MovingAverage(self.vocabulary, self.features, reset=self.reset)
        self.quantiser = Residual(level, self.levels, self.dropout)

    @property
    def causal_methods(self) -> tuple[str, ...]:
        """The methods that take chunks, see :mod:`mmjax.codecs.chunks`."""
        return ("encode", "decode") if self.causal and not (self.seconds or self.even) else ()

    @property
    def strides(self) -> tuple[int]:
        """Samples per step."""
        return (math.prod(self.ratios),)

    @property
    def segment(self) -> tuple[int, int]:
        """Samples of a segment, and from the start of one to that of the next."""
        length = int(self.seconds * self.rate)
        return length, max(1, int((1.0 - self.overlap) * length))

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The number of steps of a waveform ``(samples, channels)``, segments in a row.

        Raises:
          UserError: there is no sound, or a segment before the last would fall short of a step.
        """
        hop, samples = self.strides[0], raw_shape[0]
        if not samples:
            raise UserError("sound of 0 samples: Encodec takes 1 and more")
        if not self.seconds:
            return (-(-samples // hop),)
        length, stride = self.segment
        steps = [-(-min(length, samples - start) // hop) for start in range(0, samples, stride)]
        if any(n != -(-length // hop) for n in steps[:-1]):
            raise UserError(
                f"sound of {samples} samples: Encodec takes segments of {length} every {stride}, "
                f"and here the last but one is cut short; give {(len(steps) - 1) * stride} samples"
            )
        return (sum(steps),)

    def encode(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Scaled:
        """The codes of waveforms in [-1, 1]; with ``train`` codebooks move.

        Codes of the first levels alone are those of a lower bandwidth.
        """
        self.grid(sound.shape[1:])
        features, scales = [], []
        for part in self._segments(sound):
            batch, count, samples, channels = part.shape
            scale = jnp.ones((batch, count), sound.dtype)
            if self.even:
                mono = jnp.mean(part, axis=-1)
                scale = jnp.sqrt(jnp.mean(jnp.square(mono), axis=-1)) + 1e-8
            part = (part / scale[..., None, None]).reshape(batch * count, samples, channels)
            features.append(self.encoder(part).reshape(batch, -1, self.features))
            scales.append(scale)
        found = self.quantiser(jnp.concatenate(features, axis=1), train=train)
        return Scaled(
            found.mean, found.values, found.codes, found.losses, jnp.concatenate(scales, axis=1),
            vocabulary=self.vocabulary,
        )  # fmt: skip

    def decode(
        self,
        codes: Int[Array, "B N Q"] | Float[Array, "B N D"],
        scales: Float[Array, "B S"] | None = None,
    ) -> Float[Array, "B L C"]:
        """Waveforms from codes (of the first levels, if not all) or from the quantiser's vectors.

        ``scales`` is what :meth:`encode` says; None for ones.
        """
        if jnp.issubdtype(codes.dtype, jnp.integer):
            codes = self.quantiser.lookup(codes)
        if not self.seconds:
            sound = self.decoder(codes)
            return sound if scales is None else sound * scales[..., None]
        made = self._decoded(codes, -(-self.segment[0] // self.strides[0]))
        if scales is not None:
            made = [part * scales[:, index, None, None] for index, part in enumerate(made)]
        return cross_fade(made, self.segment[1])

    def __call__(
        self, sound: Float[Array, "B L C"], *, train: bool = False
    ) -> Float[Array, "B L C"]:
        """The reconstruction, as long as the input."""
        found = self.encode(sound, train=train)
        return to_length(self.decode(found.values, found.scales), sound.shape[1])

    def _decoded(self, vectors: Float[Array, "B N D"], size: int) -> list[Float[Array, "B _ C"]]:
        """The sound of each ``size`` steps, and of those that are left over."""
        batch, steps, width = vectors.shape
        whole, made = steps // size, []
        if whole:
            rows = vectors[:, : whole * size].reshape(batch * whole, size, width)
            made += [*self.decoder(rows).reshape(batch, whole, -1, self.channels).swapaxes(0, 1)]
        if steps % size:
            made.append(self.decoder(vectors[:, whole * size :]))
        return made

    def _segments(self, sound: Float[Array, "B L C"]) -> list[Float[Array, "B S l C"]]:
        """Segments in groups of one length: the whole ones, then those cut short by the end."""
        if not self.seconds:
            return [sound[:, None]]
        (length, stride), samples = self.segment, sound.shape[1]
        starts = np.arange(0, samples, stride)
        whole = starts[starts + length <= samples]
        parts = [sound[:, whole[:, None] + np.arange(length)]] if len(whole) else []
        return parts + [sound[:, None, start:] for start in starts[len(whole) :]]


def cross_fade(parts: list[Float[Array, "B _ C"]], stride: int) -> Float[Array, "B L C"]:
    """Parts that begin ``stride`` samples apart, blended where they overlap.

    The weights are a triangle over the first part's length, divided by their sum.
    """
    time = np.linspace(0, 1, parts[0].shape[1] + 2)[1:-1]
    triangle = np.float32(0.5 - np.abs(time - 0.5))
    batch, last, channels = parts[-1].shape
    total = jnp.zeros((batch, stride * (len(parts) - 1) + last, channels), parts[0].dtype)
    weight = np.zeros((total.shape[1], 1), np.float32)
    for index, part in enumerate(parts):
        place = slice(index * stride, index * stride + part.shape[1])
        share = triangle[: part.shape[1], None]
        total = total.at[:, place].add(part * share)
        weight[place] += share
    return total / weight
