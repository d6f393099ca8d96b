"""The waveform encoder and decoder that EnCodec and Mimi share, over whole clips or chunks.

SEANet (Tagliasacchi et al. 2020, 2009.02095) as in Defossez et al. 2022 (2210.13438), section 3.1.
Chunks are those of :mod:`mmjax.layers.causal_conv`.
"""

import dataclasses

import flax.linen as nn

from mmjax.errors import UserError
from mmjax.layers.causal_conv import join, keeps, past_of
from mmjax.layers.conv1d import Conv1d, ConvTranspose1d, pad_time
from mmjax.layers.recurrent import Lstm
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Style:
    """How every convolution of a network is padded and normalised.

    Attributes:
      causal: whether a step sees none after it; else padding is shared between both ends.
      padding: what is added, see :func:`mmjax.layers.conv1d.pad_time`.
      norm: ``"weight"`` (factored kernels), ``"group"`` (outputs, over all channels and steps), or
        ``"none"``.
    """

    causal: bool
    padding: str
    norm: str


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of both halves.

    Attributes:
      filters: channels at the sound's own rate; they double with each ratio.
      ratios: strides, highest rate first.
      units: residual units per rate; the dilation of each is twice that of the one before.
      memories: layers of recurrence at the lowest rate.
      kernel: taps of the first convolution.
      last: taps of the last convolution.
      inner: taps within residual units.
      projected: whether the units' shortcuts are convolutions.
    """

    filters: int
    ratios: tuple[int, ...]
    units: int
    memories: int
    kernel: int
    last: int
    inner: int
    projected: bool

    def width(self, level: int) -> int:
        """Channels after so many ratios."""
        return self.filters * 2**level


class PaddedConv(nn.Module):
    """A convolution along time that gives one step per ``stride``, the last one rounded up.

    Attributes:
      features: output channels.
      kernel: taps.
      style: padding and normalisation.
      stride: input steps per output step.
      dilation: input steps between taps.
      bias: whether a bias is added.
    """

    features: int
    kernel: int
    style: Style
    stride: int = 1
    dilation: int = 1
    bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B N D"]:
        """``N = ceil(L / stride)``; chunks but the last are multiples of the stride."""
        total = (self.kernel - 1) * self.dilation + 1 - self.stride
        extra, mode = -x.shape[1] % self.stride, self.style.padding
        if keeps(self):
            x = pad_time(self._after_past(x, total), 0, extra, mode)
        else:
            after = 0 if self.style.causal else total // 2
            x = pad_time(x, total - after, after + extra, mode)
        x = Conv1d(
            self.features, self.kernel, self.stride, self.dilation, bias=self.bias,
            normalised=self.style.norm == "weight", name="conv",
        )(x)  # fmt: skip
        return _group_norm(x) if self.style.norm == "group" else x

    def _after_past(self, x: Float[Array, "B L C"], total: int) -> Float[Array, "B N C"]:
        mirrors = self.style.padding == "reflect" and past_of(self) is None
        if mirrors and x.shape[1] <= total:
            raise UserError(
                f"the first chunk has {x.shape[1]} steps at a layer whose padding mirrors {total}; "
                "give a longer one"
            )
        return join(self, x, pad_time(x, total, 0, self.style.padding)[:, :total], total)


class TrimmedConvTranspose(nn.Module):
    """A transposed convolution along time that gives ``stride`` steps for one.

    Attributes:
      features: output channels.
      kernel: taps, twice the stride.
      stride: output steps per input step.
      style: where what is too much is cut off (behind, if causal), and normalisation.
      groups: see :class:`mmjax.layers.conv1d.ConvTranspose1d`.
      bias: whether a bias is added.
    """

    features: int
    kernel: int
    stride: int
    style: Style
    groups: int = 1
    bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B N C"]) -> Float[Array, "B L D"]:
        """``L = N * stride``."""
        length, steps = x.shape[1] * self.stride, x.shape[1]
        total = self.kernel - self.stride
        if self.style.causal:
            x = join(self, x, x[:, :0], 1)  # a step reaches into the next one's
            skip = (x.shape[1] - steps) * self.stride
        else:
            skip = total - total // 2
        x = ConvTranspose1d(
            self.features, self.kernel, self.stride, groups=self.groups, bias=self.bias,
            normalised=self.style.norm == "weight", name="conv",
        )(x)  # fmt: skip
        x = _group_norm(x) if self.style.norm == "group" else x
        return x[:, skip : skip + length]


class ResidualUnit(nn.Module):
    """Two convolutions through half the channels, beside a shortcut.

    Attributes:
      sizes: see there.
      dilation: input steps between taps of the first.
      style: padding and normalisation.
    """

    sizes: Sizes
    dilation: int
    style: Style

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """Adds what the convolutions find."""
        width, style, inner = x.shape[-1], self.style, self.sizes.inner
        y = nn.elu(x)
        y = PaddedConv(width // 2, inner, style, dilation=self.dilation, name="conv_1")(y)
        y = PaddedConv(width, 1, style, name="conv_2")(nn.elu(y))
        if self.sizes.projected:
            x = PaddedConv(width, 1, style, name="shortcut")(x)
        return x + y


class Encoder(nn.Module):
    """Waveforms to features at one step per ``prod(ratios)`` samples, rounded up.

    Attributes:
      sizes: see there.
      features: output channels.
      style: padding and normalisation.
    """

    sizes: Sizes
    features: int
    style: Style

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B N D"]:
        """The features of a clip or of a chunk of one."""
        sizes, style = self.sizes, self.style
        x = PaddedConv(sizes.filters, sizes.kernel, style, name="conv_in")(x)
        for level, ratio in enumerate(sizes.ratios):
            x, name = nn.elu(_units(x, self, level)), f"level_{level}_down"
            x = PaddedConv(sizes.width(level + 1), 2 * ratio, style, ratio, name=name)(x)
        x = nn.elu(_remember(x, sizes.memories))
        return PaddedConv(self.features, sizes.last, style, name="conv_out")(x)


class Decoder(nn.Module):
    """Features back to waveforms; attributes as in :class:`Encoder`."""

    sizes: Sizes
    features: int
    style: Style

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """``L = N * prod(ratios)``."""
        sizes, style, levels = self.sizes, self.style, len(self.sizes.ratios)
        x = PaddedConv(sizes.width(levels), sizes.kernel, style, name="conv_in")(x)
        x = _remember(x, sizes.memories)
        for level in reversed(range(levels)):
            x, ratio = nn.elu(x), sizes.ratios[level]
            up = TrimmedConvTranspose(
                sizes.width(level), 2 * ratio, ratio, style, name=f"level_{level}_up"
            )
            x = _units(up(x), self, level)
        return PaddedConv(self.features, sizes.last, style, name="conv_out")(nn.elu(x))


def _units(x: Array, half: Encoder | Decoder, level: int) -> Array:
    """The residual units of one rate."""
    for index in range(half.sizes.units):
        x = ResidualUnit(half.sizes, 2**index, half.style, name=f"level_{level}_unit_{index}")(x)
    return x


def _remember(x: Array, layers: int) -> Array:
    """The recurrent layers in a row, beside one shortcut."""
    y = x
    for layer in range(layers):
        y = Lstm(name=f"memory_{layer}")(y)
    return x + y if layers else x


def _group_norm(x: Array) -> Array:
    return nn.GroupNorm(num_groups=1, epsilon=1e-5, use_fast_variance=False, name="norm")(x)
