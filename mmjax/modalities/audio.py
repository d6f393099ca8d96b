"""Sound."""

import dataclasses
import io
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import soundfile

from mmjax.files import atomic
from mmjax.modalities.base import MediaError, Modality, require_finite, require_positive
from mmjax.modalities.decoding import AUDIO_FORMATS, open_medium, require_usual_sound
from mmjax.modalities.files import Limits, identify, suffix_of
from mmjax.modalities.picture import waveform_over_spectrogram
from mmjax.modalities.resample import fit_length, mix_channels, resample_audio
from mmjax.typing import Float, UInt8

_PLAIN = ("wav", "flac")
_SILENCE = 1e-5  # below half a step of 16 bits
_WRITTEN = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24")}


@dataclasses.dataclass(frozen=True)
class Audio(Modality):
    """A waveform ``[samples, channels]`` from -1 to 1; sample ``n`` is at ``n / rate`` seconds.

    Attributes:
      samples: per channel.
      rate: samples per second.
      channels: 1 is mono, 2 is left and right.
    """

    samples: int
    rate: int
    channels: int = 1

    name: ClassVar[str] = "audio"
    axes: ClassVar[tuple[str, ...]] = ("time",)
    dtype: ClassVar[type] = np.float32
    value_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    by_path: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "mmjax.evaluation.metrics.mel_distance:MelDistance",
        "mmjax.evaluation.metrics.spectral_convergence:SpectralConvergence",
    )
    suffixes: ClassVar[tuple[str, ...]] = (
        ".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac",
        ".mp4", ".webm", ".mov", ".mkv", ".m4v", ".avi", ".ts",
    )  # fmt: skip

    def __post_init__(self):
        require_positive(self, "samples", "rate", "channels")

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples, channels."""
        return self.samples, self.channels

    @property
    def extent(self) -> tuple[float, ...]:
        """Seconds."""
        return (self.samples / self.rate,)

    def positions(self, grid: Sequence[int]) -> Float[np.ndarray, "*grid A"]:
        """As for any modality; of frames and bins, a bin is where its frame is."""
        if len(grid) != 2:
            return super().positions(grid)
        frames = super().positions(grid[:1])
        return np.ascontiguousarray(np.broadcast_to(frames[:, None], (*grid, 1)))

    def read(self, path: str, start: float | int = 0.0) -> Float[np.ndarray, "L C"]:
        """The sound that begins ``start`` seconds into a file, or into a film's sound track.

        It is resampled and mixed to the declared rate and channels and padded with silence at its
        end. A file without a sound track and one whose part is all zeros are both refused, each
        by name: to a model of sound either is a broken example.
        """
        limits = Limits()
        seconds = self.extent[0]
        found = identify(path, (*_PLAIN, *AUDIO_FORMATS), "sound", limits)
        if found in _PLAIN:
            audio, rate = _read_plain(path, found, start, seconds)
        else:
            with open_medium(path, AUDIO_FORMATS, "sound", limits) as medium:
                audio, rate = medium.audio(start, seconds)
        return self._fit(audio, rate, path)

    def parse(self, value: Any, where: str) -> Float[np.ndarray, "L C"]:
        """Samples at the declared rate, ``[L]`` or ``[L, C]``: floats, or 16-bit integers."""
        array = np.asarray(value)
        if array.ndim not in (1, 2) or array.dtype.kind not in "fi" or 0 in array.shape:
            found = f"{array.dtype} {list(array.shape)}"
            raise MediaError(f"{where}: expected samples [L] or [L, C], got {found}")
        scale = 1 if array.dtype.kind == "f" else 2.0**-15
        samples = array.astype(np.float32).reshape(len(array), -1) * np.float32(scale)
        return self._fit(samples, self.rate, where)

    def _fit(self, audio: np.ndarray, rate: int, where: str) -> np.ndarray:
        """Samples at any rate in any channels, as declared."""
        require_finite(audio, where)
        if np.abs(audio).max() < _SILENCE:
            seconds = len(audio) / rate
            raise MediaError(f"{where}: is silent: its sound is all zeros for {seconds:.2f} s")
        try:
            audio = mix_channels(audio, self.channels)
        except ValueError as error:
            raise MediaError(f"{where}: {error}") from error
        audio = resample_audio(audio, rate, self.rate)
        return np.clip(fit_length(audio, self.samples), -1, 1)

    def save(self, path: str, array: Float[np.ndarray, "L C"]) -> None:
        """WAV (the exact 32-bit samples) or FLAC (24 bits), whichever the suffix says."""
        kind, subtype = _WRITTEN[suffix_of(path, tuple(_WRITTEN), "sound")]
        file = io.BytesIO()
        soundfile.write(file, array, self.rate, subtype=subtype, format=kind)
        with atomic(path) as temporary:
            temporary.write_bytes(file.getvalue())

    def preview(self, array: Float[np.ndarray, "L C"]) -> UInt8[np.ndarray, "I J 3"]:
        """The waveform of each channel over a spectrogram of their mean with log frequencies."""
        return waveform_over_spectrogram(array, self.rate)


def _read_plain(
    path: str, found: str, start: float | int, seconds: float | int
) -> tuple[Float[np.ndarray, "L C"], int]:
    """A part of a WAV or FLAC file and its rate."""
    if found == "wav":
        _require_whole_wav(path)
    try:
        with soundfile.SoundFile(path) as file:
            require_usual_sound(path, file.samplerate, file.channels)
            if not file.frames:
                raise MediaError(f"{path}: holds 0 samples of sound")
            first = round(start * file.samplerate)
            if first >= file.frames:
                lasts = file.frames / file.samplerate
                raise MediaError(f"{path}: lasts {lasts:.2f} s, but is to start at {start:.2f} s")
            wanted = min(file.frames - first, -(-seconds * file.samplerate // 1))
            file.seek(first)
            audio = file.read(int(wanted), dtype="float32", always_2d=True)
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise MediaError(f"{path}: cannot be decoded ({error.error_string})") from error
    if len(audio) < wanted:
        raise MediaError(f"{path}: is truncated: it ends after {len(audio) / rate:.2f} s")
    return audio, rate


def _require_whole_wav(path: str) -> None:
    """Refuses a WAV file shorter than its header says; the decoder would cut it in silence."""
    with open(path, "rb") as file:
        declared = int.from_bytes(file.read(8)[4:], "little")
    size = os.path.getsize(path)
    streamed = declared in (0, 0xFFFFFFFF)  # a writer that could not go back to fill in the size
    if not streamed and size < declared + 8:
        raise MediaError(f"{path}: is truncated: it has {size} of {declared + 8} bytes")
