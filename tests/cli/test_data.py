"""What ``mmjax data`` shows and writes is what the model is trained on."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

from mmjax import config as configs
from mmjax.cli.main import MISTAKE, main
from mmjax.modalities.container import read_clip
from mmjax.training.batches import make_pipeline
from mmjax.training.system import build

ROOT = pathlib.Path(__file__).parents[2]
TINY = f"{ROOT}/configs/quickstart.py:tiny"


def rows_of(printed):
    """The printed tables as ``{first cell: other cells}``."""
    return {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}


def test_show_writes_the_first_examples_of_training(tmp_path, capsys):
    assert main(["data", "show", "--config", TINY, "--count", "2", "--out", str(tmp_path)]) == 0
    batch = make_pipeline(build(configs.load(TINY))).batch(0)
    for index in range(2):
        clip = read_clip(str(tmp_path / f"{index:03d}.mp4"))
        assert len(clip.frames) == 24 and clip.audio is not None
        samples, rate = soundfile.read(tmp_path / f"{index:03d}.wav", dtype="float32")
        assert rate == 8000
        np.testing.assert_array_equal(samples, batch["audio"][index])
        assert (tmp_path / f"{index:03d}.sheet.png").stat().st_size > 1000
        assert json.loads((tmp_path / f"{index:03d}.json").read_text())["index"] == index
    words = configs.load(TINY).codecs.words.words
    known = [words[token - 1] for token in batch["text"][1] if token]
    assert (tmp_path / "001.txt").read_text().split() == known
    printed = capsys.readouterr().out
    assert "train: 1000000 records of BouncingDigits; 2 shown, 0 bad" in printed
    read, seen = map(rows_of, printed.split("what the networks see"))
    video = batch["video"][:2]
    assert read["video"] == ["uint8", "24x24x24x1", "0", "255", f"{video.mean():.4g}"]
    scaled = video / 127.5 - 1
    assert seen["video"][:5] == ["Pixels", "float32", "24x24x24x1", "-1", "1"]
    assert [float(x) for x in seen["video"][5:]] == pytest.approx(
        [scaled.mean(), scaled.std()], rel=1e-3
    )


def test_show_of_the_held_out_split_has_its_ground_truth(tmp_path, capsys):
    flags = ["--split", "evaluation", "--count", "1", "--out", str(tmp_path)]
    assert main(["data", "show", "--config", TINY, *flags]) == 0
    read = rows_of(capsys.readouterr().out.split("what the networks see")[0])
    assert read["events"][:2] == ["float32", "18x5"]
    assert read["caption"][0] == "text"


def test_show_names_a_mistake_in_one_line(tmp_path, capsys):
    flags = ["--config.data.train.digits=(0, 1)", "--out", str(tmp_path / "none")]
    assert main(["data", "show", "--config", TINY, *flags]) == MISTAKE
    assert capsys.readouterr().err == (
        "mmjax data: config.data.train: digits (0, 1) must be ordered and from 1 to 3\n"
    )
    assert not (tmp_path / "none").exists()
