"""TFDS data sets built and read, with no TensorFlow."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from mmjax.data.bouncing_digits import BouncingDigits
from mmjax.data.digits import Digits
from mmjax.data.tfds import Tfds, build
from mmjax.errors import UserError
from mmjax.modalities.action import Action
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.image import Image
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    splits = {name: BouncingDigits(name, length=3) for name in ("train", "test")}
    build(splits, "bouncing_digits", folder)
    return folder


def test_bouncing_digits_through_tfds(data_dir):
    modalities = {
        "video": Video(frames=24, height=24, width=24, fps=12.5, channels=1),
        "audio": Audio(samples=15360, rate=8000, channels=2),
        "action": Action(size=12, low=-9, high=9),
        "text": Text(length=16),
        "label": Label(classes=10),
    }
    source = Tfds(
        "bouncing_digits", modalities, split="test", fields={"events": "events"}, data_dir=data_dir
    )
    records = BouncingDigits("test", length=3)
    originals = {records[i]["text"]: records[i] for i in range(3)}
    assert len(source) == 3
    for index in range(3):
        found = source[index]
        original = originals[found["text"]]
        for name in ("video", "audio", "action", "label", "events"):
            assert np.array_equal(found[name], original[name]), name
    assert pickle.loads(pickle.dumps(source))[2]["text"] == source[2]["text"]


def test_pictures_are_fitted_and_features_renamed(data_dir):
    modalities = {"picture": Image(height=12, width=12), "words": Text(length=8)}
    fields = {"picture": "image", "words": "text"}
    source = Tfds("bouncing_digits", modalities, fields=fields, data_dir=data_dir)
    assert source[0]["picture"].shape == (12, 12, 3) and isinstance(source[0]["words"], str)
    with pytest.raises(MediaError, match=r"train\[0\]: no feature 'image/x'; it has action, audio"):
        Tfds("bouncing_digits", modalities, fields={"picture": "image/x"}, data_dir=data_dir)[0]


def test_mistakes_are_one_line(data_dir):
    for name, split, reason in (
        ("no_such_set", "train", "no_such_set"),
        ("bouncing_digits", "validation", "Unknown split"),
    ):
        with pytest.raises(UserError, match=rf"^TFDS {name}: .*{reason}") as error:
            Tfds(name, {}, split=split, data_dir=data_dir, download=False)
        assert "\n" not in str(error.value)
    with pytest.raises(IndexError):
        Tfds("bouncing_digits", {}, data_dir=data_dir)[3]


def test_neither_tensorflow_nor_jax_is_imported(data_dir, tmp_path):
    build({"train": Digits("test")}, "digits", tmp_path)
    code = (
        "import sys; from mmjax.data.tfds import Tfds, build; from mmjax.data.digits import Digits;"
        f"Tfds('digits', {{}}, data_dir={str(tmp_path)!r})[0];"
        "import mmjax.data.folder, mmjax.data.jsonl, mmjax.data.array_record;"
        "sys.exit('tensorflow' in sys.modules or 'jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
