"""Real files made with PyAV directly, in ways that the library itself does not write."""

from fractions import Fraction

import av
import numpy as np
import pytest


@pytest.fixture
def make_clip(tmp_path):
    """Writes a film frame by frame at given times, with or without a sound track."""

    def make(name, frames, times, audio=None, rate=None, codec="libx264", sound_codec="aac"):
        path = str(tmp_path / name)
        with av.open(path, "w") as container:
            video = container.add_stream(codec, rate=Fraction(1000))
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv444p" if codec == "libx264" else "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            packets = []
            if audio is not None:
                layout = ("mono", "stereo")[audio.shape[1] - 1]
                sound = container.add_stream(sound_codec, rate=rate, layout=layout)
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(audio.T), format="fltp", layout=layout
                )
                frame.sample_rate, frame.pts = rate, 0
                packets += sound.encode(frame) + sound.encode()
            for picture, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
                packets += video.encode(frame)
            packets += video.encode()
            for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
                container.mux(packet)
        return path

    return make


@pytest.fixture
def flat():
    """Frames of one brightness each, ``[T, height, width, 3]``."""

    def make(levels, height=64, width=64):
        frames = np.empty((len(levels), height, width, 3), np.uint8)
        frames[:] = np.asarray(levels, np.uint8)[:, None, None, None]
        return frames

    return make
