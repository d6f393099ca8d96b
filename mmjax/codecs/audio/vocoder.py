"""A vocoder beside the spectrogram that it hears, so that both are a codec of sound."""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn

from mmjax.codecs.audio.spectrogram import LogMel
from mmjax.codecs.posterior import Deterministic
from mmjax.tree import pytree
from mmjax.typing import Array, Float


@pytree
@dataclasses.dataclass(frozen=True)
class Heard(Deterministic):
    """A spectrogram, in which nothing is learned and nothing penalised."""

    def penalties(self, count: int) -> Mapping[str, Float[Array, " B"]]:
        """None."""
        return {}


class Vocoder(nn.Module):
    """Sound to its log mel spectrogram, and by a network back.

    Attributes:
      mel: the spectrogram.
      generator: from spectrograms to sound, such as :class:`mmjax.codecs.audio.hifi_gan.HifiGan`.
    """

    mel: LogMel
    generator: nn.Module

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int]:
        """Frames and bins of a waveform ``(samples, channels)``."""
        return self.mel.grid(raw_shape)

    def encode(self, sound: Float[Array, "B L C"], *, train: bool = False) -> Heard:
        """The spectrogram of waveforms in [-1, 1]; ``train`` changes nothing."""
        return Heard(self.mel.encode(sound))

    def decode(self, mel: Float[Array, "B T F C"]) -> Float[Array, "B L C"]:
        """Waveforms in [-1, 1]."""
        return self.generator(mel)

    def __call__(self, sound: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        """What comes back."""
        return self.decode(self.mel.encode(sound))
