"""Whether the sound has the pitch of the digit."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits
from mmjax.evaluation.metrics.onsets import sound_onsets
from mmjax.evaluation.metrics.recognition import UNREAD, read_digits
from mmjax.typing import Float, Int

Arrays = Mapping[str, np.ndarray]

_BEGIN, _LENGTH = 0.004, 0.08  # seconds after the onset that are listened to
_SEMITONES = 2.0  # that a tone may be off its nearest pitch


def dominant_frequency(sound: Float[np.ndarray, "L C"], rate: int) -> float:
    """The frequency in hertz with the most power over all channels, between two spectral lines."""
    window = np.hanning(len(sound))[:, None]
    power = np.square(np.abs(np.fft.rfft(sound * window, axis=0))).sum(axis=1)
    peak = int(np.clip(power[1:-1].argmax() + 1, 1, len(power) - 2))
    # The vertex of the parabola through the logarithms around a windowed peak.
    low, middle, high = np.log(power[peak - 1 : peak + 2] + 1e-20)
    bend = low - 2 * middle + high
    shift = (low - high) / (2 * bend) if bend else 0.0
    return (peak + shift) * rate / len(sound)


@dataclasses.dataclass(frozen=True)
class PitchMatchesDigit:
    """Share of sounds whose pitch belongs to the digit; a tone between two pitches belongs to none.

    * ``true``: the digit that the clip should show (any of them where it should show several);
    * ``seen``: the digit that is read in the picture, for clips of one digit;
    * ``sounds``: sounds per clip, so that silence is told from wrong pitches.

    Attributes:
      pitches: hertz, one per digit.
      rate: samples per second of the sound.
      train_pictures: see :class:`mmjax.evaluation.metrics.digit.DigitAccuracy`.
    """

    pitches: tuple[float, ...]
    rate: int
    train_pictures: int = 1437

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"pitch/peak-v1/train{self.train_pictures}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Counts ``[B]`` of sounds, of those with the true and of those with the seen pitch."""
        if "audio" not in media:
            return {}
        audio = media["audio"]
        onsets = sound_onsets(audio, self.rate)
        heard = [self.digits_heard(*pair) for pair in zip(audio, onsets, strict=True)]
        features = {"sounds": np.array([len(digits) for digits in heard])}
        truly = truth.get("digits", truth.get("label"))
        if truly is not None:
            truly = np.asarray(truly).reshape(len(audio), -1)
            pairs = zip(heard, truly, strict=True)
            features["true"] = np.array([np.isin(h, t[t >= 0]).sum() for h, t in pairs])
        if "video" in media:
            shown = read_digits(media["video"], self.train_pictures)
            # An unread digit has no pitch.
            pairs = zip(heard, np.where(shown == UNREAD, len(self.pitches), shown), strict=True)
            features["seen"] = np.array([(digits == digit).sum() for digits, digit in pairs])
            features["single"] = count_digits(truth, len(audio)) == 1
        return features

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above; shares are 0 where nothing sounds."""
        if not features:
            return {}
        sounds = features["sounds"]
        figures = {"sounds": float(sounds.mean())}
        if "true" in features:
            figures["true"] = float(features["true"].sum() / max(sounds.sum(), 1))
        if "seen" in features and features["single"].any():
            seen, among = features["seen"][features["single"]], sounds[features["single"]]
            figures["seen"] = float(seen.sum() / max(among.sum(), 1))
        return figures

    def digits_heard(
        self, sound: Float[np.ndarray, "L C"], onsets: Float[np.ndarray, " E"]
    ) -> Int[np.ndarray, " N"]:
        """The digit of each onset's pitch, -1 where it is none's; NaN onsets are left out."""
        begins = ((onsets[~np.isnan(onsets)] + _BEGIN) * self.rate).astype(int)
        length = round(_LENGTH * self.rate)
        pitches = np.log2(self.pitches) * 12
        heard = []
        for begin in np.minimum(begins, len(sound) - length):
            tone = np.log2(dominant_frequency(sound[begin : begin + length], self.rate)) * 12
            nearest = int(np.abs(pitches - tone).argmin())
            heard.append(nearest if abs(pitches[nearest] - tone) <= _SEMITONES else -1)
        return np.array(heard, int)
