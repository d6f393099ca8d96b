"""Frames and samples out of media containers through PyAV, one at a time and within limits."""

import contextlib
from collections.abc import Iterator

import av
import numpy as np

from mmjax.modalities.base import MediaError
from mmjax.modalities.files import Limits, identify
from mmjax.typing import Float, UInt8

VIDEO_FORMATS = ("mov", "matroska", "avi", "gif", "mpegts")
AUDIO_FORMATS = ("mov", "matroska", "avi", "mpegts", "ogg", "mp3", "aac")
_STRICT = "crccheck+bitstream+buffer+explode"  # damaged data raises instead of being painted over
_PREROLL = 0.5  # seconds decoded before a cut, for codecs whose blocks overlap
_MISSING = 0.15  # seconds by which decoded media may fall short of what its header declares
_RATES = (1000, 768_000)
_CHANNELS = 64


class Medium:
    """An open container: its kind is known by content, its damage ends in a :class:`MediaError`.

    Times are in seconds from the earliest stream's start.
    """

    def __init__(self, path: str, container: av.container.InputContainer, limits: Limits):
        self.path = path
        self.container = container
        self.limits = limits
        self.origin = (container.start_time or 0) / av.time_base

    @property
    def duration(self) -> float | None:
        """Seconds as declared by the header, None if it does not say."""
        return self.container.duration / av.time_base if self.container.duration else None

    @property
    def has_video(self) -> bool:
        """Whether there is moving picture; a cover picture does not count."""
        return self._moving() is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return bool(self.container.streams.audio)

    def fail(self, reason: str) -> MediaError:
        """The error to raise, naming the file."""
        return MediaError(f"{self.path}: {reason}")

    def frames(self, start: float | int = 0.0) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decoded frames with their times, from the last key frame before ``start`` on.

        Variable frame rates come out as their timestamps say.
        """
        stream = self._moving()
        if stream is None:
            raise self.fail("has no video stream")
        context = self._context(stream)
        if context.width * context.height > self.limits.pixels:
            raise self.fail(
                f"has frames of {context.width} x {context.height}, "
                f"more than the {self.limits.pixels} pixels allowed"
            )
        context.options = {"err_detect": _STRICT, "max_pixels": str(self.limits.pixels)}
        rate = stream.average_rate or stream.guessed_rate
        count = 0
        for frame in self._decode(stream, start):
            if frame.is_corrupt:
                raise self.fail(f"frame {count} is damaged")
            time = count / float(rate or 25) if frame.pts is None else self._time(frame)
            count += 1
            if count > self.limits.frames:
                raise self.fail(f"has more than the {self.limits.frames} frames allowed")
            yield time, frame
        if not count:
            raise self.fail("holds 0 frames")

    def audio(
        self, start: float | int = 0.0, seconds: float | int | None = None
    ) -> tuple[Float[np.ndarray, "L C"], int]:
        """Samples from ``start`` on, placed by their timestamps, and their rate.

        Gaps are silent; what a late stream leaves out at the start is silent too.
        """
        if not self.has_audio:
            raise self.fail("has no audio stream")
        stream = self.container.streams.audio[0]
        context = self._context(stream)
        rate, channels = context.sample_rate, context.channels
        require_usual_sound(self.path, rate, channels)
        context.options = {"err_detect": _STRICT}
        limit = round((self.limits.seconds if seconds is None else seconds) * rate)
        blocks, end = [], 0
        for frame in self._decode(stream, start):
            block = _floats(frame)
            if (frame.sample_rate, block.shape[1]) != (rate, channels):
                raise self.fail("changes its sample rate or its channels midway")
            place = end if frame.pts is None else round((self._time(frame) - start) * rate)
            if abs(place - end) <= rate // 500:  # timestamps rounded to a millisecond are no gap
                place = end
            if place >= limit:
                break
            if place + len(block) > 0:
                blocks.append((place, block))
                end = max(end, min(place + len(block), limit))
            if 4 * end * channels > self.limits.decoded_bytes:
                raise self.fail(f"decodes to more than {self.limits.decoded_bytes} bytes of sound")
        if not end:
            raise self.fail("holds 0 samples of sound")
        samples = np.zeros((end, channels), np.float32)
        for place, block in blocks:
            first = max(place, 0)
            samples[first : place + len(block)] = block[first - place : end - place]
        return samples, rate

    def _moving(self):
        attached = av.stream.Disposition.attached_pic
        return next((s for s in self.container.streams.video if not s.disposition & attached), None)

    def _context(self, stream) -> av.CodecContext:
        if stream.codec_context is None:
            raise self.fail(f"its {stream.type} is of no kind that can be decoded")
        return stream.codec_context

    def _time(self, frame) -> float:
        return float(frame.pts * frame.time_base) - self.origin

    def _decode(self, stream, start: float | int) -> Iterator:
        """Frames of one stream; other streams are only demuxed, to see where the file ends."""
        stream.codec_context.thread_count = 1  # the data pipeline's workers are the parallelism
        if start > 0:
            if self.duration is not None and start >= self.duration:
                raise self.fail(f"lasts {self.duration:.2f} s, but is to start at {start:.2f} s")
            target = max(0.0, start - _PREROLL) + self.origin
            self.container.seek(int(target / stream.time_base), stream=stream)
        reached = 0.0
        for packet in self.container.demux():
            if packet.pts is not None:
                ends = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                reached = max(reached, ends - self.origin)
            if packet.stream.index == stream.index:
                yield from packet.decode()
        if self.duration is not None and reached < self.duration - _MISSING:
            raise self.fail(f"is truncated: it ends after {reached:.2f} of {self.duration:.2f} s")


@contextlib.contextmanager
def open_medium(path: str, formats: tuple[str, ...], kind: str, limits: Limits) -> Iterator[Medium]:
    """Opens a container whose content is one of ``formats``; FFmpeg's errors inside are named.

    The demuxer is forced and reads from an open file, so that no reference, playlist or protocol
    in a file or its name can lead to another one.
    """
    found = identify(path, formats, kind, limits)
    try:
        with (
            open(path, "rb") as file,
            av.open(file, format=found, metadata_errors="replace") as container,
        ):
            yield Medium(path, container, limits)
    except av.error.EOFError as error:
        raise MediaError(f"{path}: holds 0 frames and samples") from error
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be decoded ({error.strerror})") from error


def require_usual_sound(path: str, rate: int, channels: int) -> None:
    """Refuses what only a damaged header says; resampling from it would take any memory."""
    if not (_RATES[0] <= rate <= _RATES[1] and 1 <= channels <= _CHANNELS):
        raise MediaError(f"{path}: has sound of {rate} Hz in {channels} channels")


def upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A decoded frame upright in RGB."""
    picture = frame.to_ndarray(format="rgb24")
    return np.rot90(picture, round(frame.rotation / 90)) if frame.rotation else picture


def _floats(frame: av.AudioFrame) -> Float[np.ndarray, "L C"]:
    """The samples of a decoded frame from -1 to 1."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return values.astype(np.float32) / -float(np.iinfo(values.dtype).min)
    return values.astype(np.float32)
