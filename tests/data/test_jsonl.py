"""Manifests, and names in them that try to leave."""

import json
import os
import pickle

import numpy as np
import pytest

from mmjax.data.jsonl import Jsonl
from mmjax.data.media import inside
from mmjax.data.pipeline import Pipeline
from mmjax.data.transforms import Fields
from mmjax.errors import UserError
from mmjax.modalities.action import Action
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video

VIDEO = Video(frames=4, height=16, width=16, fps=10, channels=1)
AUDIO = Audio(samples=3200, rate=8000)


def manifest(tmp_path, *lines):
    path = tmp_path / "clips.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return str(path)


def test_media_and_values(tmp_path, film):
    film(tmp_path / "clips/a.mp4", shade=50, frames=30)
    film(tmp_path / "b.webm", shade=150, frames=30)
    modalities = {
        "video": VIDEO, "audio": AUDIO, "text": Text(length=8), "label": Label(classes=3),
        "action": Action(size=2),
    }  # fmt: skip
    values = {"text": "first", "label": 2, "action": [0.5, -1]}
    path = manifest(
        tmp_path,
        {"video": "clips/a.mp4", **values, "speed": 1.5},
        "",
        {"video": "b.webm", "audio": "clips/a.mp4", "start": 1.25, **values, "text": "last"},
    )
    source = Jsonl(path, modalities)
    assert len(source) == 2 and source.name_of(1) == f"{path}:3"
    first, last = source[0], source[1]
    for name, modality in modalities.items():
        if name != "text":
            modality.check(first[name], name)
    assert first["text"] == "first" and first["label"] == 2 and first["speed"] == 1.5
    assert np.abs(last["video"].astype(int) - 150).max() <= 3
    assert np.array_equal(pickle.loads(pickle.dumps(source))[1]["video"], last["video"])


def test_start_moves_picture_and_sound_alike(tmp_path, film):
    film(tmp_path / "a.mp4", frames=30)
    rows = [{"video": "a.mp4", "start": start} for start in (0, 1.5)]
    source = Jsonl(manifest(tmp_path, *rows), {"audio": AUDIO})
    wave = 0.3 * np.sin(np.arange(24000) * 0.5)
    for index, first in ((0, 0), (1, 12000)):
        inner = slice(200, 3000)
        found = source[index]["audio"][inner, 0]
        assert np.abs(found - wave[first : first + 3200][inner]).max() < 0.03


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"video": "a.mp4", ', "is not JSON"),
        ("[1]", "expected an object"),
        ({"text": "x"}, "no file for 'video'"),
        ({"video": "a.mp4"}, "no value for 'text'"),
        ({"video": "a.mp4", "text": 5}, "text: expected text, got 5"),
        ({"video": 3, "text": "x"}, "expected the name of a file, got 3"),
        ({"video": "a.mp4", "text": "x", "start": -1}, "start must be seconds"),
        ({"video": "a.mp4", "text": "x", "start": "1"}, "start must be seconds"),
        ('{"video": "a.mp4", "text": "x", "start": NaN}', "start must be seconds"),
        ('{"video": "' + "a" * 2**20 + '"}', "is longer than"),
    ],
)
def test_a_bad_line_is_named_and_skipped(tmp_path, film, line, reason):
    film(tmp_path / "a.mp4")
    good = {"video": "a.mp4", "text": "good"}
    path = manifest(tmp_path, good, line, good)
    source = Jsonl(path, {"video": VIDEO, "text": Text(length=8)})
    with pytest.raises(MediaError, match=rf"clips\.jsonl:2: .*{reason}"):
        source[1]
    pipeline = Pipeline(source, dict, 3, max_bad_share=0.5)
    assert pipeline.batch(0)["text"].tolist() == ["good"] * 3
    assert set(pipeline.bad.poll()) == {f"{path}:2"}


ESCAPES = [
    "../secret.mp4",
    "clips/../../secret.mp4",
    "clips/..",
    "..\\secret.mp4",
    "clips\\..\\..\\secret.mp4",
    "/etc/passwd",
    "//server/share/a.mp4",
    "C:\\secret.mp4",
    "C:secret.mp4",
    "\\secret.mp4",
    "link.mp4",
    "folder/secret.mp4",
    "chain.mp4",
    "a.mp4\0.txt",
    "",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out_of_the_folder(tmp_path, film, name):
    film(tmp_path / "secret.mp4")
    root = tmp_path / "root"
    film(root / "clips/a.mp4")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "chain.mp4").symlink_to("link.mp4")
    (root / "folder").symlink_to(tmp_path)
    source = Jsonl(manifest(root, {"video": name}), {"video": VIDEO})
    with pytest.raises(MediaError, match=r"clips\.jsonl:1: .*(leaves|leads|name of a file)"):
        source[0]


def test_names_that_stay_inside_are_taken(tmp_path, film, monkeypatch):
    root = tmp_path / "root"
    film(root / "clips/a.mp4")
    (root / "within.mp4").symlink_to("clips/a.mp4")
    (tmp_path / "alias").symlink_to(root)
    for folder in (root, tmp_path / "alias"):
        for name in ("clips/a.mp4", "./clips//a.mp4", "within.mp4", "..a.mp4"):
            assert inside(str(folder), name, "").startswith(str(folder))
    monkeypatch.chdir(root)
    source = Jsonl(os.path.basename(manifest(root, {"video": "within.mp4"})), {"video": VIDEO})
    assert source[0]["video"].shape == VIDEO.shape


def test_pipes_and_folders_are_no_media(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    source = Jsonl(
        manifest(tmp_path, {"video": "pipe.mp4"}, {"video": "folder.mp4"}), {"video": VIDEO}
    )
    for index in range(2):
        with pytest.raises(MediaError, match="is not a file"):
            source[index]


def test_a_missing_or_empty_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jsonl: cannot be read \(No such file"):
        Jsonl(str(tmp_path / "gone.jsonl"), {})
    with pytest.raises(UserError, match="holds no lines"):
        Jsonl(manifest(tmp_path, "", " "), {})


def test_workers_read_manifests(tmp_path, film):
    for index in range(4):
        film(tmp_path / f"{index}.mp4", shade=50 * index)
    path = manifest(tmp_path, *({"video": f"{i}.mp4"} for i in range(4)))
    here = Pipeline(Jsonl(path, {"video": VIDEO}), Fields({"video": VIDEO}, {}), 4)
    apart = Pipeline(here.source, here.transform, 4, workers=1)
    batches = apart.iterate(2)
    assert np.array_equal(next(batches)["video"], here.batch(2)["video"])
    batches.close()
