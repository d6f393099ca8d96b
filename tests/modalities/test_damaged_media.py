"""Whatever has happened to a file, reading it ends in a medium or in one line that names it."""

import random
import warnings

import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.container import save_clip
from mmjax.modalities.image import Image
from mmjax.modalities.video import Video

PICTURE = Image(8, 8, 3)
SOUND = Audio(samples=800, rate=8000, channels=1)
FILM = Video(frames=4, height=16, width=16, fps=10.0, channels=3)
FORMATS = {
    ".png": PICTURE, ".jpg": PICTURE, ".webp": PICTURE, ".gif": PICTURE, ".wav": SOUND,
    ".flac": SOUND, ".ogg": SOUND, ".mp3": SOUND, ".mp4": FILM, ".webm": FILM,
}  # fmt: skip
CASES = 40


def written(folder, suffix):
    """A whole file of a format."""
    path, rng = folder / f"whole{suffix}", np.random.default_rng(0)
    if FORMATS[suffix] is PICTURE:
        Pillow.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(path)
    elif FORMATS[suffix] is SOUND:
        soundfile.write(path, rng.uniform(-0.5, 0.5, 1600), 8000)
    else:
        film = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
        sound = 0.1 * rng.normal(size=(3200, 1)).astype(np.float32)
        save_clip(str(path), film, 10.0, sound, 8000)
    return path


def worse(content, moments):
    """The content after one of five kinds of damage."""
    found, place = bytearray(content), moments.randrange(len(content))
    kind = moments.choice(["flip", "cut", "zeros", "noise", "other"])
    if kind == "flip":
        found[place] ^= 1 << moments.randrange(8)
    elif kind == "cut":
        del found[place:]
    elif kind == "zeros":
        found[place : place + 16] = bytes(len(found[place : place + 16]))
    elif kind == "noise":
        for _ in range(10):
            found[moments.randrange(len(found))] = moments.randrange(256)
    else:
        found[moments.choice([0, 4, 12, 32]) :] = moments.randbytes(200)
    return bytes(found)


@pytest.mark.parametrize("suffix", FORMATS)
def test_any_damage_ends_in_a_medium_or_in_one_line(tmp_path, suffix):
    modality, path = FORMATS[suffix], written(tmp_path, suffix)
    content, moments, refused = path.read_bytes(), random.Random(suffix), 0
    modality.check(modality.read(str(path)), "whole")
    for _ in range(CASES):
        path.write_bytes(worse(content, moments))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, on fields that no pixel depends on
                modality.check(modality.read(str(path)), "damaged")
        except MediaError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert refused > CASES // 8


def test_nothing_in_a_file_is_a_medium(tmp_path):
    for suffix, modality in FORMATS.items():
        path = tmp_path / f"empty{suffix}"
        path.touch()
        with pytest.raises(MediaError, match=f"empty{suffix}: "):
            modality.read(str(path))


@pytest.mark.parametrize(
    ("modality", "boxes", "name"),
    [(FILM, (b"avc1",), "video"), (SOUND, (b"mp4a", b"esds"), "audio")],
)
def test_a_track_of_an_unknown_kind_is_named(tmp_path, modality, boxes, name):
    path = written(tmp_path, ".mp4")
    content = path.read_bytes()
    for box in boxes:
        content = content.replace(box, b"\x01" + box[1:])
    path.write_bytes(content)
    with pytest.raises(MediaError, match=f"{name} is of no kind that can be decoded"):
        modality.read(str(path))


def test_a_film_with_a_torn_title_is_read(tmp_path):
    path = written(tmp_path, ".mp4")
    content = path.read_bytes()
    whole = FILM.read(str(path))
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"\xd2avf"))
    np.testing.assert_array_equal(FILM.read(str(path)), whole)


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_an_absurd_rate_is_refused_before_it_is_resampled_from(tmp_path, rate):
    path = written(tmp_path, ".wav")
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=f"has sound of {rate} Hz in 1 channels"):
        SOUND.read(str(path))


def test_sound_whose_channels_change_midway_is_named(tmp_path):
    path, rng = tmp_path / "a.mp3", np.random.default_rng(0)
    parts = []
    for shape in ((8000,), (8000, 2)):
        soundfile.write(path, rng.uniform(-0.5, 0.5, shape), 8000)
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    with pytest.raises(MediaError, match="a.mp3: changes its sample rate or its channels midway"):
        Audio(samples=16000, rate=8000, channels=1).read(str(path))
