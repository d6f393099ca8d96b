"""Values from other libraries and manifests, fitted or refused."""

import numpy as np
import pytest

from mmjax.modalities.action import Action
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.image import Image
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video

VIDEO = Video(frames=4, height=8, width=8, fps=10, channels=1)


@pytest.mark.parametrize(
    ("modality", "value", "reason"),
    [
        (Label(classes=3), 3, "class 3 is not one of 0 to 2"),
        (Label(classes=3), 0.5, "class 0.5"),
        (Label(classes=3), True, "expected a class"),
        (Label(classes=3), "1", "expected a class, got '1'"),
        (Action(size=2), [1], r"expected float32 \[2\], got float32 \[1\]"),
        (Action(size=2), ["a", 1], "expected 2 numbers"),
        (Action(size=2), [0, 1.5], "outside -1.0 to 1.0"),
        (Action(size=2), [0, float("nan")], "not finite"),
        (Text(length=2), 5, "expected text, got 5"),
        (Image(height=2, width=2), np.zeros((4, 4, 3)), r"expected uint8 .* float64 \[4, 4, 3\]"),
        (Image(height=2, width=2), np.zeros((4, 4), np.uint8), "with 3 axes"),
        (Image(height=2, width=2), np.zeros((4, 4, 4), np.uint8), "1 or 3 channels, got 4"),
        (VIDEO, np.zeros((0, 4, 4, 3), np.uint8), "with 4 axes"),
        (Audio(samples=4, rate=8), "sound", "expected samples"),
        (Audio(samples=4, rate=8), np.zeros(4, np.float32), "is silent"),
        (Audio(samples=4, rate=8), np.full(4, np.inf), "not finite"),
    ],
)
def test_bad_values_are_named(modality, value, reason):
    with pytest.raises(MediaError, match=f"^line 7: .*{reason}"):
        modality.parse(value, "line 7")


def test_plain_values():
    assert Label(classes=3).parse(2, "") == 2
    assert Label(classes=3).parse(np.int64(2), "").dtype == np.int32
    assert np.array_equal(Action(size=2).parse([0, 1], ""), [0, 1])
    assert Text(length=2).parse("a b", "") == "a b"


def test_pixels_of_any_size():
    picture = np.zeros((16, 32, 1), np.uint8)
    picture[:, 8:24] = 200
    found = Image(height=8, width=8).parse(picture, "")
    assert found.shape == (8, 8, 3) and (found == 200).all()
    clip = np.stack([picture, picture // 2])
    found = VIDEO.parse(clip, "")
    assert found.shape == VIDEO.shape and found[:, 0, 0, 0].tolist() == [200, 100, 100, 100]
    assert VIDEO.parse(np.repeat(clip, 4, axis=0), "").shape == VIDEO.shape


def test_samples_of_any_kind():
    audio = Audio(samples=6, rate=8000, channels=2)
    wave = np.array([0.5, -0.25, 0.125])
    expected = np.array([0.5, -0.25, 0.125, 0, 0, 0])[:, None].repeat(2, axis=1)
    for value in (wave, wave[:, None], (wave * 2**15).astype(np.int64)):
        found = audio.parse(value, "")
        audio.check(found, "")
        assert np.array_equal(found, expected)
