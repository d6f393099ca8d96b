"""The network that vocoders share: frames to samples, by transposed convolutions.

After each one several residual blocks with kernels of different lengths look at the same input, and
their mean goes on (HiFi-GAN; Kong et al. 2020, 2010.05646, section 2.2 and appendix A).
"""

import flax.linen as nn

from mmjax.layers.conv1d import Conv1d, ConvTranspose1d, same
from mmjax.layers.snake import AliasFreeSnake
from mmjax.typing import Array, Float


class ResidualBlock(nn.Module):
    """Pairs of a dilated and a plain convolution, each after an activation, beside shortcuts.

    Attributes:
      kernel: taps of every convolution.
      dilations: one pair for each.
      slope: of the leaky rectifier below 0; None for the alias-free snake.
    """

    kernel: int
    dilations: tuple[int, ...]
    slope: float | None

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """Applies the pairs in a row."""
        for index, dilation in enumerate(self.dilations):
            y = x
            for part, spread in (("dilated", dilation), ("plain", 1)):
                y = activate(y, self.slope, f"snake_{part}_{index}")
                pad = ((self.kernel - 1) * spread // 2,) * 2
                name = f"{part}_{index}"
                y = Conv1d(x.shape[-1], self.kernel, 1, spread, pad, name=name)(y)
            x = x + y
        return x


class Upsampler(nn.Module):
    """Frames to samples.

    Attributes:
      widths: channels before and after each transposed convolution.
      rates: their strides.
      kernels: their taps.
      block_kernels: taps of the residual blocks after each.
      dilations: of each such block.
      features: channels of the sound.
      slope: of the leaky rectifiers; None for alias-free snakes, which then stand in the residual
        blocks and at the end only.
      bias: whether the last convolution has a bias.
    """

    widths: tuple[int, ...]
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    block_kernels: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]
    features: int
    slope: float | None
    bias: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """``L = N * prod(rates)`` where kernels less rates are even."""
        x = Conv1d(self.widths[0], 7, padding=same(7), name="conv_in")(x)
        for level, (rate, kernel) in enumerate(zip(self.rates, self.kernels, strict=True)):
            if self.slope is not None:
                x = nn.leaky_relu(x, self.slope)
            trim = ((kernel - rate) // 2,) * 2
            name = f"level_{level}_up"
            x = ConvTranspose1d(self.widths[level + 1], kernel, rate, trim, name=name)(x)
            x = self._blocks(x, level)
        # the published networks forget the slope here and have PyTorch's default
        x = activate(x, None if self.slope is None else 0.01, "snake_out")
        return Conv1d(self.features, 7, padding=same(7), bias=self.bias, name="conv_out")(x)

    def _blocks(self, x: Array, level: int) -> Array:
        made = [
            ResidualBlock(kernel, dilations, self.slope, name=f"level_{level}_block_{index}")(x)
            for index, (kernel, dilations) in enumerate(
                zip(self.block_kernels, self.dilations, strict=True)
            )
        ]
        return sum(made) / len(made)


def activate(x: Float[Array, "B L C"], slope: float | None, name: str) -> Float[Array, "B L C"]:
    """A leaky rectifier of this slope, or the alias-free snake of this name."""
    return AliasFreeSnake(name=name)(x) if slope is None else nn.leaky_relu(x, slope)
