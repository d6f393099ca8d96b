"""Any stream from any other, as files that players and other programs read."""

import json

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from mmjax import config as configs
from mmjax.cli import sample
from mmjax.cli.main import main
from mmjax.modalities.container import read_clip
from mmjax.training.workdir import Workdir

PROMPT = "a seven bounces three times"


def made(folder):
    """The film's frames, the sound and the record of the first sample in a folder."""
    film = read_clip(str(folder / "000.mp4"))
    sound, rate = soundfile.read(folder / "000.wav")
    assert rate == 8000
    return film.frames, sound, json.loads((folder / "000.json").read_text())


def make(weights, out, *arguments):
    flags = ["sample", "--weights", str(weights), "--out", str(out), *map(str, arguments)]
    assert main(flags) == 0
    return made(out)


@pytest.fixture(scope="module")
def from_text(weights, tmp_path_factory):
    """A folder with two samples of a prompt."""
    folder = tmp_path_factory.mktemp("text")
    make(weights, folder, "--given", f"text={PROMPT}", "--count", 2, "--seed", 5)
    return folder


def test_text_to_film_with_sound(from_text, run, capsys):
    with av.open(str(from_text / "001.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.audio[0].codec_context.name == "aac"
        assert sum(1 for _ in file.decode(video=0)) == 24
        assert file.duration / av.time_base == pytest.approx(24 / 12.5, abs=0.1)
    frames, sound, record = made(from_text)
    assert sound.shape == (15360, 2) and np.isfinite(sound).all() and frames.std() > 0
    assert record["prompt"] == PROMPT and record["seed"] == 5 and record["step"] == 8
    assert record["config"] == configs.digest(Workdir(run).config())
    assert record["want"] == ["video", "audio"] and record["sampler"]["steps"] == 2
    assert all((from_text / name).is_file() for name in record["files"])
    assert (from_text / "000.txt").read_text() == PROMPT + "\n"
    with Image.open(from_text / "000.sheet.png") as sheet:
        assert sheet.width > 500 and sheet.height > 500


def test_samples_differ_from_each_other_and_repeat_with_their_seed(from_text, weights, tmp_path):
    frames, sound, _ = made(from_text)
    second = read_clip(str(from_text / "001.mp4")).frames
    assert np.abs(second.astype(int) - frames).mean() > 3
    arguments = ("--given", f"text={PROMPT}", "--count", 2)
    again, sound_again, _ = make(weights, tmp_path / "again", *arguments, "--seed", 5)
    np.testing.assert_array_equal(sound_again, sound)
    np.testing.assert_allclose(again, frames, atol=4)  # x264 rounds anew each time
    other, _, _ = make(weights, tmp_path / "other", *arguments, "--seed", 6)
    assert np.abs(other.astype(int) - frames).mean() > 3


def test_film_to_sound_keeps_the_film(from_text, weights, tmp_path):
    frames, sound, _ = made(from_text)
    kept, new, record = make(weights, tmp_path, "--given", f"video={from_text / '000.mp4'}")
    assert record["want"] == ["audio"]
    assert np.abs(kept.astype(int) - frames).mean() < 2  # encoded twice
    assert np.abs(np.corrcoef(new[:, 0], sound[:, 0])[0, 1]) < 0.5


def test_sound_to_film_keeps_the_sound(from_text, weights, tmp_path):
    _, sound, _ = made(from_text)
    _, kept, record = make(weights, tmp_path, "--given", f"audio={from_text / '000.wav'}")
    assert record["want"] == ["video"]
    np.testing.assert_allclose(kept, np.clip(sound, -1, 1), atol=1e-6)


def test_a_picture_is_the_first_frame(weights, tmp_path):
    picture = np.zeros((24, 24), np.uint8)
    picture[4:12, 6:14] = 255
    Image.fromarray(picture).save(tmp_path / "start.png")
    arguments = ("--given", f"image={tmp_path / 'start.png'}", "--given", f"text={PROMPT}")
    frames, _, record = make(weights, tmp_path / "out", *arguments)
    assert record["want"] == ["video", "audio"]
    first = frames[0, 4::8, 4::8, 0]  # enlarged eightfold
    assert np.abs(first.astype(int) - picture).max() < 24
    assert np.abs(frames[-1, 4::8, 4::8, 0].astype(int) - picture).mean() > 10


def test_steps_and_guidance_replace_the_configs(from_text, weights, tmp_path):
    arguments = ("--given", f"text={PROMPT}", "--count", 2, "--seed", 5)
    _, _, record = make(weights, tmp_path / "a", *arguments, "--guidance", "text=4")
    assert record["sampler"]["guidance"]["text"]["scale"] == 4
    assert not np.array_equal(made(tmp_path / "a")[1], made(from_text)[1])
    _, _, record = make(weights, tmp_path / "b", *arguments, "--steps", 3)
    assert record["sampler"]["steps"] == 3


def test_a_watched_sampling_gives_the_same(from_text, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sample.sys.stderr, "isatty", lambda: True, raising=False)
    arguments = ("--given", f"text={PROMPT}", "--count", 2, "--seed", 5)
    _, sound, _ = make(weights, tmp_path, *arguments)
    assert "2/2" in capsys.readouterr().err
    np.testing.assert_allclose(sound, made(from_text)[1], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--given", "text=a seven jumped"], "--given text: unknown word 'jumped'"),
        (["--given", "text= "], "the text is blank"),
        (["--given", "txt=a seven"], "no stream named 'txt' in this system; did you mean 'text'?"),
        (["--given", "video=missing.mp4"], "missing.mp4: cannot be read"),
        (["--given", "text"], "expected --given name=value"),
        (["--given", "text=a", "--given", "text=a"], "text is there twice"),
        (["--want", "smell"], "--want smell: no stream named 'smell'"),
        (["--want", "text"], "'text' is a condition"),
        (["--given", "text=a", "--want", "text"], "--want text: it is given already"),
        (["--guidance", "audio=3"], "no such branch; this system has: text"),
        (["--guidance", "text=much"], "expected a number"),
    ],
)
def test_mistakes(arguments, said, weights, tmp_path, mistake):
    assert said in mistake("sample", "--weights", weights, "--out", tmp_path, *arguments)
    assert not list(tmp_path.iterdir())
