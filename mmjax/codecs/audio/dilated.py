"""The waveform encoder and decoder that DAC and Stable Audio share.

Convolutions of stride ``ratio`` between stacks of dilated residual units (Kumar et al. 2023,
2306.06546, section 3; Evans et al. 2024, 2407.14358, section 3.1).
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.layers.conv1d import Conv1d, ConvTranspose1d, same
from mmjax.layers.snake import Snake
from mmjax.typing import Array, Float

DILATIONS = (1, 3, 9)


class ResidualUnit(nn.Module):
    """A dilated convolution of 7 taps and one of 1 tap, each after a snake, beside a shortcut.

    Attributes:
      dilation: steps between taps.
      logarithmic: the kind of :class:`mmjax.layers.snake.Snake`.
      normalised: whether kernels are factored.
    """

    dilation: int
    logarithmic: bool
    normalised: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """Adds what the convolutions find."""
        features, norm = x.shape[-1], self.normalised
        y = Snake(self.logarithmic, name="snake_1")(x)
        padding = same(7, self.dilation)
        y = Conv1d(features, 7, 1, self.dilation, padding, normalised=norm, name="conv_1")(y)
        y = Snake(self.logarithmic, name="snake_2")(y)
        return x + Conv1d(features, 1, normalised=norm, name="conv_2")(y)


class Encoder(nn.Module):
    """Waveforms to features at one step per ``prod(ratios)`` samples.

    Attributes:
      widths: channels before, between and after the strided convolutions.
      ratios: their strides, highest rate first.
      features: output channels.
      logarithmic: the kind of :class:`mmjax.layers.snake.Snake`.
      normalised: whether kernels are factored.
    """

    widths: tuple[int, ...]
    ratios: tuple[int, ...]
    features: int
    logarithmic: bool
    normalised: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B N D"]:
        """``N = L / prod(ratios)`` for lengths that the product divides."""
        norm, log = self.normalised, self.logarithmic
        x = Conv1d(self.widths[0], 7, padding=same(7), normalised=norm, name="conv_in")(x)
        for level, (ratio, width) in enumerate(zip(self.ratios, self.widths[1:], strict=True)):
            x = _units(x, self, level)
            x = Snake(log, name=f"level_{level}_snake")(x)
            pad = (math.ceil(ratio / 2),) * 2
            name = f"level_{level}_down"
            x = Conv1d(width, 2 * ratio, ratio, padding=pad, normalised=norm, name=name)(x)
        x = Snake(log, name="snake_out")(x)
        return Conv1d(self.features, 3, padding=same(3), normalised=norm, name="conv_out")(x)


class Decoder(nn.Module):
    """Features back to waveforms.

    Attributes:
      widths: channels after, between and before the transposed convolutions.
      ratios: their strides, highest rate first.
      features: output channels.
      logarithmic: the kind of :class:`mmjax.layers.snake.Snake`.
      normalised: whether kernels are factored.
      bias: whether the last convolution has a bias.
    """

    widths: tuple[int, ...]
    ratios: tuple[int, ...]
    features: int
    logarithmic: bool
    normalised: bool
    bias: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """``L = N * prod(ratios)``; each odd ratio costs one of its own steps at the end."""
        norm, log = self.normalised, self.logarithmic
        x = Conv1d(self.widths[-1], 7, padding=same(7), normalised=norm, name="conv_in")(x)
        for level in reversed(range(len(self.ratios))):
            ratio, width = self.ratios[level], self.widths[level]
            x = Snake(log, name=f"level_{level}_snake")(x)
            trim = (math.ceil(ratio / 2),) * 2
            name = f"level_{level}_up"
            x = ConvTranspose1d(width, 2 * ratio, ratio, trim, normalised=norm, name=name)(x)
            x = _units(x, self, level)
        x = Snake(log, name="snake_out")(x)
        return Conv1d(
            self.features, 7, padding=same(7), bias=self.bias, normalised=norm, name="conv_out"
        )(x)


def sound_grid(raw_shape: tuple[int, ...], hop: int, codec: str) -> tuple[int]:
    """The number of steps of a waveform ``(samples, channels)``; UserError if ``hop`` misfits."""
    steps, rest = divmod(raw_shape[0], hop)
    if rest or not steps:
        nearest = " or ".join(str(n * hop) for n in (steps, steps + 1) if n)
        raise UserError(
            f"sound of {raw_shape[0]} samples: {codec} takes multiples of {hop}, such as {nearest}"
        )
    return (steps,)


def to_length(x: Float[Array, "B L C"], samples: int) -> Float[Array, "B N C"]:
    """``x`` cut, or followed by silence, to ``samples``."""
    return jnp.pad(x[:, :samples], ((0, 0), (0, max(0, samples - x.shape[1])), (0, 0)))


def _units(x: Float[Array, "B L C"], half: Encoder | Decoder, level: int) -> Float[Array, "B L C"]:
    """The residual units of one rate."""
    for index, dilation in enumerate(DILATIONS):
        name = f"level_{level}_unit_{index}"
        x = ResidualUnit(dilation, half.logarithmic, half.normalised, name=name)(x)
    return x
