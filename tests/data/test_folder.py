"""A folder of the user's own clips."""

import logging
import pickle

import numpy as np
import pytest
import soundfile

from mmjax.codecs.words import Bytes
from mmjax.data.folder import Folder
from mmjax.data.pipeline import Pipeline
from mmjax.data.transforms import Fields
from mmjax.errors import UserError
from mmjax.modalities.audio import Audio
from mmjax.modalities.base import MediaError
from mmjax.modalities.image import Image
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video

VIDEO = Video(frames=8, height=16, width=16, fps=12.5, channels=1)
AUDIO = Audio(samples=5120, rate=8000, channels=2)
TEXT = Text(length=32)
ALL = {"video": VIDEO, "audio": AUDIO, "text": TEXT}


def test_clips_of_any_kind_train_and_the_broken_are_named(tmp_path, film, caplog):
    """Several sizes, rates, lengths and containers; two of ten files are broken."""
    sizes = [(24, 24), (33, 65), (48, 32), (128, 72)]
    for index in range(8):
        name = f"part{index % 2}/clip{index}{('.mp4', '.webm')[index // 4]}"
        film(
            tmp_path / name, shade=20 + 25 * index, size=sizes[index % 4],
            fps=(10.0, 12.5, 29.97)[index % 3], rate=(8000, 16000, 44100)[index % 3],
            frames=(4, 12, 40)[index % 3],
        )  # fmt: skip
        (tmp_path / name).with_suffix(".txt").write_text(f"clip number {index}\n")
    torn = film(tmp_path / "torn.mp4")
    torn.write_bytes(torn.read_bytes()[:2000])
    film(tmp_path / "mute.mp4", sound=False)
    for name in ("torn", "mute"):
        (tmp_path / f"{name}.txt").write_text("broken")
    source = Folder(str(tmp_path), ALL)
    assert len(source) == 10
    pipeline = Pipeline(source, Fields(ALL, {"text": Bytes(32)}, keep=("text",)), 5, seed=1)
    with caplog.at_level(logging.WARNING):
        batches = pipeline.iterate(0)
        read = [next(batches) for _ in range(4)]
        batches.close()
    for batch in read:
        assert batch["video"].shape == (5, *VIDEO.shape) and batch["video"].dtype == np.uint8
        assert batch["audio"].shape == (5, *AUDIO.shape) and batch["text_mask"].shape == (5, 32)
        for clip, caption in zip(batch["video"], batch["caption"], strict=True):
            index = int(caption.removeprefix("clip number "))
            assert np.abs(clip.astype(int) - (20 + 25 * index)).max() <= 4
    warnings = sorted(r.message for r in caplog.records if r.name.startswith("mmjax"))
    assert len(warnings) == 3
    assert f"{tmp_path}/mute.mp4: has no audio stream" in warnings[0]
    assert f"{tmp_path}/torn.mp4: cannot be decoded" in warnings[1]
    assert warnings[2] == "bad records replaced in all: 2"


def test_files_with_one_stem_are_one_record(tmp_path, film):
    film(tmp_path / "a.mp4", shade=200)
    wave = np.full(8000, 0.25, np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    (tmp_path / "a.txt").write_text("own sound")
    (tmp_path / ".hidden.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no medium has this name")
    source = Folder(str(tmp_path), ALL)
    assert len(source) == 1 and source.name_of(0) == str(tmp_path / "a")
    record = source[0]
    assert np.array_equal(record["audio"], np.full(AUDIO.shape, 0.25, np.float32))
    assert record["text"] == "own sound" and np.abs(record["video"].astype(int) - 200).max() <= 3
    assert np.array_equal(pickle.loads(pickle.dumps(source))[0]["audio"], record["audio"])


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_captions_in_one_file(tmp_path, kind):
    image = Image(height=8, width=8)
    for index in range(3):
        (tmp_path / "sub").mkdir(exist_ok=True)
        image.save(str(tmp_path / f"sub/{index}.png"), np.full((8, 8, 3), index, np.uint8))
    (tmp_path / "sub/2.txt").write_text("beside it")
    captions = {0: 'a "zero", drawn', 2: "not this one"}
    if kind == "csv":
        lines = ["text,file", '"a ""zero"", drawn",sub/0.png', "not this one,./sub/2.png"]
    else:
        lines = [
            "",
            *(f'{{"file": "sub/{i}.png", "text": {_json(t)}}}' for i, t in captions.items()),
        ]
    (tmp_path / f"captions.{kind}").write_text("\n".join(lines))
    source = Folder(str(tmp_path), {"image": image, "text": TEXT})
    assert [source[0]["text"], source[2]["text"]] == [captions[0], "beside it"]
    with pytest.raises(MediaError, match=r"sub/1: no text"):
        source[1]


def test_labels_stand_in_the_captions_file(tmp_path):
    image = Image(height=8, width=8)
    for index in range(2):
        image.save(str(tmp_path / f"{index}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "captions.jsonl").write_text(
        '{"file": "0.png", "label": 3}\n{"file": "1.png", "label": 12}'
    )
    source = Folder(str(tmp_path), {"image": image, "label": Label(classes=10)})
    assert source[0]["label"] == 3
    with pytest.raises(MediaError, match=r"captions\.jsonl:2: class 12 is not one of 0 to 9"):
        source[1]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "captions.jsonl",
            '{"file": "a.png", "text": "x"}\n{"file": "b.png" "te',
            ":2: is not JSON",
        ),
        ("captions.jsonl", '["a.png", "x"]', ":1: expected an object in braces, got list"),
        ("captions.jsonl", '{"text": "x"}', ":1: names no file"),
        ("captions.jsonl", '{"file": "a.png"}\n\n{"file": "a.png"}', ":3: 'a.png' has a caption"),
        ("captions.jsonl", "[" * 100_000, ":1: is not JSON"),
        ("captions.csv", "name,text\na.png,x\n", ":1: the header must name a column 'file'"),
        ("captions.csv", "file,text\na.png,x\nb.png\n", ":3: expected 2 columns"),
        ("captions.csv", "file,text\na.png,x,y\n", ":2: expected 2 columns"),
        ("captions.csv", 'file,text\na.png,"x" y\n', ":2: is not CSV"),
    ],
)
def test_a_bad_line_of_captions_is_named(tmp_path, name, content, reason):
    image = Image(height=8, width=8)
    image.save(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}{reason}") as error:
        Folder(str(tmp_path), {"image": image, "text": TEXT})
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named(tmp_path, film):
    with pytest.raises(UserError, match="gone: no such folder"):
        Folder(str(tmp_path / "gone"), ALL)
    (tmp_path / "a.txt").write_text("alone")
    with pytest.raises(UserError, match="holds no file of video, audio"):
        Folder(str(tmp_path), ALL)
    (tmp_path / "a.txt").unlink()
    film(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"no text \(a \.txt file beside each medium, captions"):
        Folder(str(tmp_path), ALL)
    source = Folder(str(tmp_path), {"video": VIDEO, "image": Image(height=8, width=8)})
    with pytest.raises(MediaError, match="a: no image"):
        source[0]


def test_links_that_lead_out_are_left_out(tmp_path, film):
    film(tmp_path / "inside/a.mp4")
    film(tmp_path / "outside/b.mp4")
    (tmp_path / "inside/b.mp4").symlink_to(tmp_path / "outside/b.mp4")
    (tmp_path / "inside/c.mp4").symlink_to("a.mp4")
    (tmp_path / "inside/folder").symlink_to(tmp_path / "outside")
    source = Folder(str(tmp_path / "inside"), {"video": VIDEO})
    assert [source.name_of(i)[-1] for i in range(len(source))] == ["a", "c"]


def _json(text):
    return '"' + text.replace('"', '\\"') + '"'
