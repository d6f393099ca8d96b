"""Films of any size, rate and length, fitted to the declared facts."""

import av
import numpy as np
import pytest

from mmjax.modalities.base import MediaError
from mmjax.modalities.container import save_clip
from mmjax.modalities.video import Video

GREY = {"channels": 1, "height": 32, "width": 32}


def levels(clip):
    return clip[:, 16, 16, 0].astype(int)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mkv", "a.mov", "a.avi"])
def test_containers(make_clip, flat, name):
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    shades = np.arange(12) * 20
    times = np.arange(12) / 10
    path = make_clip(name, flat(shades), times, codec=codec)
    clip = Video(frames=12, fps=10, **GREY).read(path)
    assert clip.shape == (12, 32, 32, 1)
    assert np.abs(levels(clip) - shades).max() <= 4


def test_a_rate_is_changed_by_showing_what_a_player_shows(make_clip, flat):
    shades = np.arange(30) * 8
    path = make_clip("a.mp4", flat(shades), np.arange(30) / 30)
    clip = Video(frames=12, fps=12.5, **GREY).read(path)
    expected = shades[np.floor(np.arange(12) / 12.5 * 30 + 1e-6).astype(int)]
    assert np.abs(levels(clip) - expected).max() <= 3


def test_varying_rates_follow_their_timestamps(make_clip, flat):
    times = np.array([0, 0.05, 0.3, 0.31, 0.7, 0.72, 0.74, 0.9])
    shades = np.arange(8) * 30
    path = make_clip("a.mp4", flat(shades), times)
    clip = Video(frames=20, fps=20, **GREY).read(path)
    moments = np.arange(20) / 20
    expected = shades[np.searchsorted(times, moments + 1e-6, side="right") - 1]
    assert np.abs(levels(clip) - expected).max() <= 3


def test_a_short_film_holds_its_last_frame(make_clip, flat):
    path = make_clip("a.mp4", flat([0, 100, 200]), [0, 0.1, 0.2])
    assert np.abs(levels(Video(frames=6, fps=10, **GREY).read(path))[2:] - 200).max() <= 3


@pytest.mark.parametrize("start", [0.3, 3.0, 7.7])
def test_a_part_begins_where_asked(make_clip, flat, start):
    shades = np.arange(100) * 2
    path = make_clip("a.mp4", flat(shades), np.arange(100) / 10)
    clip = Video(frames=10, fps=10, **GREY).read(path, start)
    first = round(start * 10)
    assert np.abs(levels(clip) - shades[first : first + 10]).max() <= 3


def test_a_start_past_the_end_is_named(make_clip, flat):
    path = make_clip("a.mp4", flat([0, 100]), [0, 0.1])
    with pytest.raises(MediaError, match=r"a\.mp4: lasts .* is to start at 5.00 s"):
        Video(frames=2, fps=10, **GREY).read(path, 5.0)


@pytest.mark.parametrize("size", [(33, 65), (48, 32), (101, 37)])
def test_odd_sizes_are_cut_at_the_centre_and_scaled(make_clip, size):
    """A white square in the centre stays a centred square."""
    height, width = size
    frames = np.zeros((3, height, width, 3), np.uint8)
    side = min(size)
    rows, columns = np.ogrid[:height, :width]
    inside = (abs(rows - (height - 1) / 2) < side / 4) & (abs(columns - (width - 1) / 2) < side / 4)
    frames[:, inside] = 255
    path = make_clip("a.mp4", frames, [0, 0.1, 0.2])
    picture = Video(frames=2, fps=10, **GREY).read(path)[0, :, :, 0] / 255
    assert picture.mean() == pytest.approx(0.25, abs=0.03)
    assert np.abs(picture - picture[::-1]).max() < 0.1
    assert np.abs(picture - picture[:, ::-1]).max() < 0.1
    assert np.abs(picture - picture.T).max() < 0.3


def test_saved_clips_read_back(tmp_path):
    rng = np.random.default_rng(0)
    video = Video(frames=6, height=24, width=18, fps=12.5)
    clip = rng.integers(0, 256, video.shape, dtype=np.uint8)
    path = str(tmp_path / "clip.mp4")
    video.save(path, clip)
    found = video.read(path)
    video.check(found, path)
    luma = (found - clip.astype(float)) @ (0.2126, 0.7152, 0.0722)  # stored at full resolution
    assert np.abs(luma).max() < 20 and np.abs(luma).mean() < 2.5


def test_a_late_picture_keeps_its_distance_to_the_sound(make_clip, flat):
    """Picture that begins 0.4 s after the sound is not moved to the sound's start."""
    audio = np.zeros((48000, 1), np.float32)
    audio[100] = 0.5
    path = make_clip("a.mp4", flat([0, 250, 0]), [0.4, 0.6, 0.7], audio, 48000)
    clip = Video(frames=10, fps=10, **GREY).read(path)
    assert levels(clip).argmax() == 6


def test_films_without_frames(tmp_path):
    path = str(tmp_path / "none.mkv")
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(MediaError, match=r"none\.mkv: holds 0 frames"):
        Video(frames=2, fps=10, **GREY).read(path)


def test_a_rotated_film_is_turned_upright(tmp_path, monkeypatch):
    path = str(tmp_path / "phone.mp4")
    frames = np.zeros((2, 192, 192, 3), np.uint8)
    frames[:, :64] = 255  # bright at the top
    save_clip(path, frames, 10)
    data = bytearray((tmp_path / "phone.mp4").read_bytes())
    identity = b"".join(
        n.to_bytes(4, "big") for n in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    )
    quarter = b"".join(
        (n % 2**32).to_bytes(4, "big")
        for n in (0, 0x10000, 0, -0x10000, 0, 0, 192 << 16, 0, 0x40000000)
    )
    place = data.index(identity, data.index(b"tkhd"))
    data[place : place + 36] = quarter
    (tmp_path / "phone.mp4").write_bytes(data)
    picture = Video(frames=1, fps=10, **GREY).read(path)[0, :, :, 0]
    assert picture[:, 24:].min() > 200 and picture[:, :16].max() < 60  # a clockwise quarter turn
