"""Critics of sound: several judges, each of another view of it.

A critic gives one verdict for each judge: what its layers find in turn, its logits last, positive
for what is taken as real. Kernels are factored (weight normalisation).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.audio.distances import stft
from mmjax.codecs.audio.mel import hann
from mmjax.layers.conv1d import Conv1d, kernel_of, pad_time, same
from mmjax.typing import Array, Float

Verdicts = tuple[tuple[Array, ...], ...]
_PERIOD_TAPS, _PERIOD_STRIDE = 5, 3
_TALL, _SMALL = (3, 9), (3, 3)  # taps over frames and frequencies


class MultiPeriod(nn.Module):
    """Judges of every p-th sample (HiFi-GAN; Kong et al. 2020, 2010.05646, section 2.3).

    The default has 41,105,770 parameters on one channel.

    Attributes:
      periods: one judge for each.
      widths: channels after each convolution of a judge; all but the last have stride 3.
      slope: of the leaky rectifiers below 0.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    widths: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    slope: float = 0.1

    @nn.compact
    def __call__(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Verdicts:
        """Verdicts of arrays ``[B, period, steps, channels]``; ``train`` changes nothing."""
        return tuple(self._verdict(sound, period) for period in self.periods)

    def _verdict(self, sound: Float[Array, "B L C"], period: int) -> tuple[Array, ...]:
        batch, samples, channels = sound.shape
        sound = pad_time(sound, 0, -samples % period, "reflect")
        # Phases do not see each other, so that they stand in the batch like examples.
        x = sound.reshape(batch, -1, period, channels).swapaxes(1, 2)
        x, found = x.reshape(batch * period, -1, channels), []
        for index, width in enumerate((*self.widths, 1)):
            last = index == len(self.widths)
            taps = 3 if last else _PERIOD_TAPS
            stride = _PERIOD_STRIDE if index < len(self.widths) - 1 else 1
            name = f"period_{period}_{'logit' if last else f'conv_{index}'}"
            x = Conv1d(width, taps, stride, padding=same(taps), normalised=True, name=name)(x)
            x = x if last else nn.leaky_relu(x, self.slope)
            found.append(x.reshape(batch, period, -1, width))
        return tuple(found)


class MultiScale(nn.Module):
    """Judges of the sound and of its averages (HiFi-GAN; Kong et al. 2020, 2010.05646, sec. 2.3).

    Each hears the one before it at half the rate. The default has 29,622,918 parameters on one
    channel; the published first judge has 4,097 fewer, being normalised by its spectrum.

    Attributes:
      scales: how many judges.
      layers: width, taps, stride and groups of each convolution of a judge.
      slope: of the leaky rectifiers below 0.
    """

    scales: int = 3
    layers: tuple[tuple[int, int, int, int], ...] = (
        (128, 15, 1, 1), (128, 41, 2, 4), (256, 41, 2, 16), (512, 41, 4, 16), (1024, 41, 4, 16),
        (1024, 41, 1, 16), (1024, 5, 1, 1),
    )  # fmt: skip
    slope: float = 0.1

    @nn.compact
    def __call__(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Verdicts:
        """Verdicts of arrays ``[B, steps, channels]``; ``train`` changes nothing."""
        verdicts = []
        for scale in range(self.scales):
            if scale:
                sound = nn.avg_pool(sound, (4,), (2,), ((2, 2),))
            verdicts.append(self._verdict(sound, scale))
        return tuple(verdicts)

    def _verdict(self, x: Float[Array, "B L C"], scale: int) -> tuple[Array, ...]:
        found = []
        for index, (width, taps, stride, groups) in enumerate(self.layers):
            x = Conv1d(
                width, taps, stride, padding=same(taps), groups=groups, normalised=True,
                name=f"scale_{scale}_conv_{index}",
            )(x)  # fmt: skip
            x = nn.leaky_relu(x, self.slope)
            found.append(x)
        logit = Conv1d(1, 3, padding=same(3), normalised=True, name=f"scale_{scale}_logit")
        return (*found, logit(x))


class MultiSpectrogram(nn.Module):
    """Judges of complex spectrograms (EnCodec; Defossez et al. 2022, 2210.13438, section 3.4).

    Convolutions over frames and frequencies, dilated along frames and strided along frequencies.
    The defaults are EnCodec's, with kernels of the authors' code: 472,490 parameters on one
    channel. DAC's (Kumar et al. 2023, 2306.06546, section 3.3) judge bands of frequencies by
    kernels of their own, and hear them together at the end only.

    Attributes:
      windows: samples per frame, one judge for each; frames are a quarter of that apart.
      width: channels.
      dilations: of the convolutions that halve the frequencies.
      edges: of the bands, as shares of the frequencies.
      slope: of the leaky rectifiers below 0.
      even: whether spectra are divided by the length of the window's vector.
    """

    windows: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    width: int = 32
    dilations: tuple[int, ...] = (1, 2, 4)
    edges: tuple[float, ...] = (0.0, 1.0)
    slope: float = 0.2
    even: bool = True

    @nn.compact
    def __call__(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Verdicts:
        """Verdicts of arrays ``[B, frames, frequencies, channels]``; ``train`` changes nothing."""
        return tuple(self._verdict(sound, window) for window in self.windows)

    def _verdict(self, sound: Float[Array, "B L C"], window: int) -> tuple[Array, ...]:
        spectrum = stft(sound, window)
        if self.even:
            spectrum = spectrum / jnp.linalg.norm(hann(window))
        x = jnp.concatenate([spectrum.real, spectrum.imag], axis=-1)
        places = [int(edge * x.shape[2]) for edge in self.edges]
        found, ends = [], []
        for band, (low, high) in enumerate(zip(places[:-1], places[1:], strict=True)):
            y = x[:, :, low:high]
            for index, (kernel, stride, dilation) in enumerate(self._layers()):
                name = f"window_{window}_band_{band}_conv_{index}"
                y = Conv2d(self.width, kernel, stride, dilation, name=name)(y)
                y = nn.leaky_relu(y, self.slope)
                found.append(y)
            ends.append(y)
        whole = jnp.concatenate(ends, axis=2)
        return (*found, Conv2d(1, _SMALL, name=f"window_{window}_logit")(whole))

    def _layers(self) -> list[tuple[tuple[int, int], int, int]]:
        """Taps, stride along frequencies and dilation along frames of a band's convolutions."""
        halving = [(_TALL, 2, dilation) for dilation in self.dilations]
        return [(_TALL, 1, 1), *halving, (_SMALL, 1, 1)]


class Critics(nn.Module):
    """Several critics as one.

    Attributes:
      parts: the critics by name.
      levelled: whether they hear the sound without its mean and with its peak at 0.8, as DAC's do.
    """

    parts: Mapping[str, Any]
    levelled: bool = False

    def __call__(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Verdicts:
        """The verdicts of all, in the order of their names."""
        if self.levelled:
            sound = sound - jnp.mean(sound, axis=1, keepdims=True)
            # Of a maximum the gradient looks for equals, and rounding may have left none.
            place = jnp.argmax(jnp.abs(sound), axis=1, keepdims=True)
            peak = jnp.abs(jnp.take_along_axis(sound, place, axis=1))
            sound = 0.8 * sound / (peak + 1e-9)
        found = [self.parts[name](sound, train=train) for name in sorted(self.parts)]
        return tuple(verdict for verdicts in found for verdict in verdicts)


class Conv2d(nn.Module):
    """A convolution over frames and frequencies with a factored kernel.

    Attributes:
      features: output channels.
      kernel: odd taps over frames and frequencies.
      stride: frequencies per output frequency.
      dilation: frames between taps.
    """

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B T F C"]) -> Float[Array, "B T G D"]:
        """As many frames; ``G = ceil(F / stride)``."""
        kernel = kernel_of(self, (*self.kernel, x.shape[-1], self.features), True)
        frames, frequencies = self.kernel
        y = jax.lax.conv_general_dilated(
            x, kernel, (1, self.stride), (same(frames, self.dilation), same(frequencies)),
            rhs_dilation=(self.dilation, 1), dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y + self.param("bias", nn.initializers.zeros, (self.features,))
