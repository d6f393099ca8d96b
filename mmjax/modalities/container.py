"""Clips of picture and sound as files: read whole and raw, written so that people can play them."""

import dataclasses
import fractions
import io

import av
import numpy as np

from mmjax.errors import UserError
from mmjax.files import atomic
from mmjax.modalities.decoding import VIDEO_FORMATS, open_medium, upright
from mmjax.modalities.files import Limits, suffix_of
from mmjax.modalities.resample import mix_channels, resample_audio
from mmjax.typing import Float, UInt8

_PLAYABLE = 192  # pixels; smaller pictures are enlarged, as colour is stored at half resolution
_CODECS = {
    ".mp4": ("libx264", {"crf": "12"}, "aac", (44100, 48000)),
    ".webm": ("libvpx-vp9", {"crf": "15", "b": "0", "cpu-used": "4"}, "libopus", (48000,)),
}
_BT709 = 1
_SOUND_BITS = 192_000  # a second


@dataclasses.dataclass(frozen=True)
class Clip:
    """What a container holds.

    Attributes:
      frames: RGB pictures, upright.
      times: when each is first seen, in seconds.
      audio: samples from -1 to 1, or None without a sound track; sample 0 is at second 0.
      rate: of the samples, per second.
    """

    frames: UInt8[np.ndarray, "T H W 3"]
    times: Float[np.ndarray, "T"]
    audio: Float[np.ndarray, "L C"] | None = None
    rate: int | None = None

    @property
    def fps(self) -> float:
        """Frames per second: the average, where the rate varies; 0 for a single frame."""
        span = float(self.times[-1] - self.times[0])
        return (len(self.times) - 1) / span if span > 0 else 0.0


def read_clip(path: str, limits: Limits | None = None) -> Clip:
    """Every frame and sample of a video file, as they are.

    Raises:
      MediaError: the file cannot be decoded, is truncated, has no picture, or exceeds ``limits``.
    """
    limits = limits or Limits()
    with open_medium(path, VIDEO_FORMATS, "video", limits) as medium:
        if medium.duration is not None and medium.duration > limits.seconds:
            raise medium.fail(
                f"lasts {medium.duration:.2f} s, more than the {limits.seconds:g} s allowed"
            )
        frames, times, size = [], [], 0
        for time, frame in medium.frames():
            size += frame.width * frame.height * 3
            if size > limits.decoded_bytes:
                raise medium.fail(f"decodes to more than {limits.decoded_bytes} bytes")
            frames.append(upright(frame))
            times.append(time)
        audible = medium.has_audio
    if len({frame.shape for frame in frames}) > 1:
        raise medium.fail("changes its picture size midway")
    audio = rate = None
    if audible:
        with open_medium(path, VIDEO_FORMATS, "video", limits) as medium:
            audio, rate = medium.audio()
    return Clip(np.stack(frames), np.array(times), audio, rate)


def save_clip(
    path: str,
    frames: UInt8[np.ndarray, "T H W C"],
    fps: float | int,
    audio: Float[np.ndarray, "L D"] | None = None,
    rate: int | None = None,
) -> None:
    """Writes MP4 (H.264 and AAC) or WebM (VP9 and Opus), whichever the suffix says, in one piece.

    Colour is stored at half resolution, so pictures under 192 pixels are enlarged by repeating
    pixels a whole number of times (even, for an odd size); larger odd sizes repeat their last row
    or column. Sound is resampled where its encoder needs it, and is mixed down to stereo. The
    encoder's delay is declared in the file, so players keep sound and picture in step.

    Args:
      path: ends in ``.mp4`` or ``.webm``.
      frames: grey (C = 1) or RGB (C = 3).
      fps: frames per second; a fraction such as 12.5 is kept exactly.
      audio: samples from -1 to 1 (what lies outside is clipped), or None for a silent film.
      rate: samples per second.
    """
    suffix = suffix_of(path, tuple(_CODECS), "a clip")
    if frames.ndim != 4 or not len(frames) or frames.shape[-1] not in (1, 3):
        raise UserError(f"{path}: frames must be [T, H, W, 1 or 3], got {list(frames.shape)}")
    if (audio is None) != (rate is None):
        raise ValueError("audio and rate come together")
    picture_codec, options, sound_codec, rates = _CODECS[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=suffix[1:]) as container:
        packets = []
        pictures = _Pictures(container, picture_codec, options, fps, enlarge(frames))
        if audio is not None:
            sound = _Sound(container, sound_codec, rates, audio, rate)
            packets += sound.packets()
        packets += pictures.packets()
        # In the order of time, so that a player finds the sound of a picture beside it.
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    with atomic(path) as temporary:
        temporary.write_bytes(file.getvalue())


def enlarge(frames: UInt8[np.ndarray, "T H W C"]) -> UInt8[np.ndarray, "T I J C"]:
    """Frames large enough for half-resolution colour, with even sides."""
    height, width = frames.shape[1:3]
    factor = -(-_PLAYABLE // min(height, width))
    if factor > 1:
        factor += factor % 2 if height % 2 or width % 2 else 0
        return frames.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


class _Pictures:
    """The encoder of the frames."""

    def __init__(self, container, codec: str, options: dict, fps: float | int, frames: np.ndarray):
        self.frames = frames
        rate = fractions.Fraction(fps).limit_denominator(1001)
        self.stream = container.add_stream(codec, rate=rate, options=options)
        self.stream.height, self.stream.width = frames.shape[1:3]
        self.stream.pix_fmt = "yuv420p"
        context = self.stream.codec_context
        context.color_range = av.video.reformatter.ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT709

    def packets(self) -> list:
        """All encoded frames."""
        packets = []
        for picture in self.frames:
            rgb = np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            packets += self.stream.encode(frame)
        return packets + self.stream.encode()


class _Sound:
    """The encoder of the samples."""

    def __init__(self, container, codec: str, rates: tuple, audio: np.ndarray, rate: int):
        target = rate if rate in rates else rates[-1]
        mixed = mix_channels(audio, min(audio.shape[1], 2))
        self.audio = np.clip(resample_audio(mixed, rate, target), -1, 1)
        self.layout = ("mono", "stereo")[mixed.shape[1] - 1]
        self.stream = container.add_stream(codec, rate=target, layout=self.layout)
        self.stream.bit_rate = _SOUND_BITS

    def packets(self) -> list:
        """All encoded samples, in blocks of the size that the encoder takes."""
        context = self.stream.codec_context
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(self.audio.T, np.float32), format="fltp", layout=self.layout
        )
        frame.sample_rate, frame.pts = context.sample_rate, 0
        context.open(strict=False)
        blocks = av.AudioResampler(
            format=context.format, layout=self.layout, frame_size=context.frame_size
        )
        packets = []
        for block in blocks.resample(frame) + blocks.resample(None):
            packets += self.stream.encode(block)
        return packets + self.stream.encode()
