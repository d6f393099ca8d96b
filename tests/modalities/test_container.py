"""Clips written, read back, and refused."""

import av
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.modalities.base import MediaError
from mmjax.modalities.container import enlarge, read_clip, save_clip
from mmjax.modalities.files import Limits
from mmjax.modalities.resample import fit_picture


def click_and_flash(frames, height, width, fps, rate, channels, at):
    """A black silent clip with one white frame and a tone that starts with it."""
    video = np.zeros((frames, height, width, 3), np.uint8)
    video[at] = 255
    audio = np.zeros((round(frames / fps * rate), channels), np.float32)
    first, length = round(at / fps * rate), rate // 50
    audio[first : first + length] = 0.8 * np.sin(np.arange(length) * 1.2)[:, None]
    return video, audio


def onset(audio, rate):
    return np.flatnonzero(np.abs(audio[:, 0]) > 0.1)[0] / rate


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(
    ("fps", "rate", "size", "channels"),
    [(12.5, 8000, (24, 24), 2), (30, 44100, (65, 49), 1), (29.97, 22050, (255, 301), 2)],
)
def test_sound_and_picture_stay_in_step(tmp_path, suffix, fps, rate, size, channels):
    video, audio = click_and_flash(36, *size, fps, rate, channels, at=20)
    path = str(tmp_path / f"clip{suffix}")
    save_clip(path, video, fps, audio, rate)
    clip = read_clip(path)
    assert len(clip.frames) == 36 and clip.fps == pytest.approx(fps, rel=1e-3)
    assert clip.audio.shape[1] == channels
    assert len(clip.audio) / clip.rate == pytest.approx(36 / fps, abs=0.03)
    flash = clip.times[clip.frames.mean((1, 2, 3)).argmax()]
    assert flash == pytest.approx(20 / fps, abs=1e-3)
    assert abs(onset(clip.audio, clip.rate) - flash) < 2e-3  # asked for: 5 ms


def test_an_uncompensated_encoder_delay_would_be_seen(tmp_path):
    """The measure above notices the 1024 samples of an AAC encoder's delay."""
    video, audio = click_and_flash(36, 24, 24, 12.5, 8000, 2, at=20)
    late = np.roll(audio, round(1024 / 48000 * 8000), axis=0)
    path = str(tmp_path / "clip.mp4")
    save_clip(path, video, 12.5, late, 8000)
    clip = read_clip(path)
    assert onset(clip.audio, clip.rate) - 1.6 > 0.02


def test_tiny_pictures_come_back_sharp(tmp_path):
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (8, 24, 24, 1), dtype=np.uint8)
    path = str(tmp_path / "clip.mp4")
    save_clip(path, video, 12.5)
    clip = read_clip(path)
    assert clip.audio is None and clip.rate is None
    assert clip.frames.shape == (8, 192, 192, 3)
    small = np.stack([fit_picture(frame, 24, 24, 1) for frame in clip.frames])
    assert np.abs(small.astype(int) - video).max() <= 6


def test_colours_survive(tmp_path):
    """BT.709 is both written and declared; a mismatch shifts saturated colours by 20 or more."""
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 40)], np.uint8)
    for suffix in (".mp4", ".webm"):
        path = str(tmp_path / f"clip{suffix}")
        save_clip(path, np.broadcast_to(colours[:, None, None], (4, 24, 24, 3)), 10)
        found = read_clip(path).frames[:, 96, 96].astype(int)
        assert np.abs(found - colours).max() <= 6


@pytest.mark.parametrize(
    ("size", "written"),
    [((24, 24), (192, 192)), ((25, 31), (200, 248)), ((65, 64), (260, 256)),
     ((255, 301), (256, 302)), ((192, 400), (192, 400))],
)  # fmt: skip
def test_enlarged_sides_are_even(size, written):
    assert enlarge(np.zeros((1, *size, 1), np.uint8)).shape[1:3] == written


def test_a_fractional_rate_is_exact(tmp_path):
    path = str(tmp_path / "clip.mp4")
    save_clip(path, np.zeros((25, 24, 24, 1), np.uint8), 12.5)
    assert np.abs(read_clip(path).times - np.arange(25) / 12.5).max() < 1e-9


def test_a_long_clip_interleaves_sound_and_picture(tmp_path):
    path = str(tmp_path / "clip.mp4")
    save_clip(path, np.zeros((48, 24, 24, 1), np.uint8), 12, np.zeros((32000, 1), np.float32), 8000)
    with av.open(path) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.size]
    assert {"audio", "video"} == set(kinds[:24]) == set(kinds[-24:])


def test_unwritable_clips_are_named(tmp_path):
    good = np.zeros((2, 24, 24, 1), np.uint8)
    with pytest.raises(UserError, match=r"clip\.avi: a clip is written as \.mp4 or \.webm"):
        save_clip(str(tmp_path / "clip.avi"), good, 10)
    for shape in ((0, 24, 24, 3), (2, 24, 24, 2)):
        with pytest.raises(UserError, match="frames must be"):
            save_clip(str(tmp_path / "clip.mp4"), np.zeros(shape, np.uint8), 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_truncated_and_damaged_files(tmp_path, suffix):
    rng = np.random.default_rng(0)
    path = tmp_path / f"clip{suffix}"
    frames = rng.integers(0, 256, (24, 48, 48, 3), dtype=np.uint8)
    save_clip(str(path), frames, 12, rng.uniform(-0.5, 0.5, (16000, 2)).astype(np.float32), 8000)
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.85):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(MediaError, match=r"clip\.\w+: (cannot be decoded|is truncated)"):
            read_clip(str(path))
    if suffix == ".mp4":
        middle = len(data) // 2
        noise = rng.integers(0, 256, 400, dtype=np.uint8).tobytes()
        path.write_bytes(data[:middle] + noise + data[middle + 400 :])
        with pytest.raises(MediaError, match="cannot be decoded|is damaged"):
            read_clip(str(path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello", "is of no known format"),
        (b"#EXTM3U\n/etc/passwd\n", "is of no known format"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "is of no known format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is png; video is read from mov"),
        (b"\0\0\0\x18ftypisom" + bytes(400), "cannot be decoded"),
    ],
)
def test_other_content_is_refused_whatever_its_name(tmp_path, content, reason):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=reason) as error:
        read_clip(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"gone\.mp4: cannot be read \(No such file"):
        read_clip(str(tmp_path / "gone.mp4"))


def test_limits_hold_before_decoding(tmp_path, monkeypatch):
    path = str(tmp_path / "clip.mp4")
    save_clip(path, np.zeros((24, 64, 64, 3), np.uint8), 12)
    for limits, reason in (
        (Limits(file_bytes=100), "more than the 100 allowed"),
        (Limits(pixels=192 * 191), "more than the 36672 pixels allowed"),
        (Limits(seconds=1.5), "lasts 2.00 s, more than the 1.5 s allowed"),
        (Limits(frames=23), "more than the 23 frames"),
        (Limits(decoded_bytes=23 * 192 * 192 * 3), "decodes to more than"),
    ):
        with pytest.raises(MediaError, match=reason):
            read_clip(path, limits)
    assert len(read_clip(path, Limits(pixels=192 * 192, frames=24, seconds=2)).frames) == 24


def test_sound_without_picture_has_no_video_stream(tmp_path):
    path = str(tmp_path / "sound.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 4800), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 48000
        container.mux(stream.encode(frame) + stream.encode())
    with pytest.raises(MediaError, match="has no video stream"):
        read_clip(path)
