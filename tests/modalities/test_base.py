"""Facts that every modality derives from its declaration."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.modalities.action import Action
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.image import Image
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video

ALL = {
    "video": Video(frames=24, height=20, width=30, fps=12.5, channels=1),
    "image": Image(height=20, width=30),
    "audio": Audio(samples=15360, rate=8000, channels=2),
    "text": Text(length=16),
    "label": Label(classes=10),
    "action": Action(size=4),
}


@pytest.mark.parametrize("name", ALL)
def test_spec_check_and_preview(name):
    modality = ALL[name]
    spec = modality.spec()
    assert isinstance(spec, jax.ShapeDtypeStruct) and modality.name == name
    assert len(modality.axes) == len(modality.extent)
    low, high = modality.value_range
    assert low < high
    array = np.full(spec.shape, low, spec.dtype)
    modality.check(array, "here")
    for bad in (array[..., None], array.astype(np.float64), array.tolist()):
        with pytest.raises(MediaError, match="^here: expected .* got"):
            modality.check(bad, "here")
    picture = modality.preview("seven" if name == "text" else array)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[-1] == 3


def test_positions_are_centres_in_units_of_the_axes():
    video = ALL["video"].positions((12, 5, 10))
    assert video.shape == (12, 5, 10, 3) and video.dtype == np.float32
    assert np.allclose(video[:, 0, 0, 0], (np.arange(12) + 0.5) * 2 / 12.5)
    assert np.allclose(video[0, :, 0, 1], np.arange(5) * 4 + 2)
    assert np.allclose(video[0, 0, :, 2], np.arange(10) * 3 + 1.5)
    audio = ALL["audio"].positions((24,))
    assert np.allclose(audio[:, 0], (np.arange(24) + 0.5) * 0.08)
    assert np.allclose(audio[::2, 0] + 0.04, video[:, 0, 0, 0])  # one clock for sound and picture


def test_positions_of_tokens_are_their_numbers():
    assert np.array_equal(ALL["text"].positions((16,))[:, 0], np.arange(16))
    assert np.array_equal(ALL["label"].positions(()), [0])
    assert np.array_equal(ALL["action"].positions((1,)), [[1.5]])


def test_a_grid_of_another_rank_is_refused():
    with pytest.raises(ValueError, match="axes"):
        ALL["video"].positions((12, 5))


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: Video(frames=0, height=4, width=4, fps=1), "Video.frames must be positive"),
        (lambda: Video(frames=1, height=4, width=4, fps=float("nan")), "Video.fps"),
        (lambda: Video(frames=1, height=4, width=4, fps=1, channels=2), "Video.channels .* 1 or 3"),
        (lambda: Image(height=4, width=-1), "Image.width"),
        (lambda: Audio(samples=8, rate=0), "Audio.rate"),
        (lambda: Label(classes=0), "Label.classes"),
    ],
)
def test_impossible_facts_are_named(build, field):
    with pytest.raises(UserError, match=field):
        build()


def test_data_workers_need_no_jax():
    names = ("action", "audio", "image", "label", "text", "video")
    imports = ", ".join(f"mmjax.modalities.{name}" for name in names)
    code = f"import sys, {imports}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
