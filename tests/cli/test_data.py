"""What ``mmjax data`` shows and writes is what the model is trained on."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from mmjax import config as configs
from mmjax.cli.main import MISTAKE, main
from mmjax.data.array_record import ArrayRecords
from mmjax.data.cache import Cached
from mmjax.data.tfds import Tfds
from mmjax.modalities.container import read_clip
from mmjax.training import weights
from mmjax.training.batches import make_pipeline
from mmjax.training.restore import untrained
from mmjax.training.system import build
from tests.harness import begin

ROOT = pathlib.Path(__file__).parents[2]
TINY = f"{ROOT}/configs/quickstart.py:tiny"

ADAMW = "{'_target_': 'mmjax.training.optimiser:AdamW', 'schedule': {'peak': 0.01}}"
SMALL = ["networks.denoiser.depth=1", f"updates.all.optimiser={ADAMW}"]  # quick to compile
TERMS = ("loss/audio", "loss/video")


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


def test_show_says_which_values_a_network_makes(tmp_path, capsys):
    config = f"{ROOT}/configs/image/vq_vae2_prior.py:tiny"
    assert main(["data", "show", "--config", config, "--count", "1", "--out", str(tmp_path)]) == 0
    seen = rows_of(capsys.readouterr().out.partition("what the networks see")[2])
    assert seen["top"] == seen["bottom"] == ["Codes", *"made by a network".split()]
    assert seen["image"][:3] == ["Pixels", "float32", "8x8x1"]


def test_show_names_a_mistake_in_one_line(tmp_path, capsys):
    flags = ["--config.data.train.digits=(0, 1)", "--out", str(tmp_path / "none")]
    assert main(["data", "show", "--config", TINY, *flags]) == MISTAKE
    assert capsys.readouterr().err == (
        "mmjax data: config.data.train: digits (0, 1) must be ordered and from 1 to 3\n"
    )
    assert not (tmp_path / "none").exists()


def cached(folder):
    """The override that trains on a cache."""
    return f"data.train={{'_target_': 'mmjax.data.cache:Cached', 'folder': {str(folder)!r}}}"


def losses(*overrides, steps=3):
    """The first losses of the tiny quickstart."""
    system = build(configs.load(TINY, [*SMALL, *overrides]))
    pipeline = make_pipeline(system)
    step, state = begin(system, pipeline.batch(0))
    found = []
    for index in range(steps):
        state, logged = step(state, pipeline.batch(index))
        found.append([float(total / count) for total, count in map(logged.get, TERMS)])
    return np.array(found)


def test_training_on_a_cache_is_training_on_its_source(tmp_path, capsys):
    """The first losses agree to the rounding of two compilations of one codec."""
    few = "data.train.length=20"
    flags = ["--per-file", "8", "--to", str(tmp_path)]
    assert main(["data", "cache", "--config", TINY, f"--config.{few}", *flags]) == 0
    printed = capsys.readouterr().out
    assert f"{tmp_path}: 20 records, 0 unreadable; video, audio as latents" in printed
    assert f'--config.{cached(tmp_path)}"'.replace("data.train=", 'data.train="') in printed
    raw, latent = losses(few), losses(cached(tmp_path))
    assert np.isfinite(raw).all() and (raw[0] != raw[2]).all()
    np.testing.assert_allclose(latent, raw, rtol=1e-6)


def test_a_part_of_the_fields_is_cached(tmp_path, capsys):
    flags = ["--count", "3", "--fields", "audio", "--to", str(tmp_path / "cache")]
    assert main(["data", "cache", "--config", TINY, *flags]) == 0
    capsys.readouterr()
    shown = ["--count", "1", "--out", str(tmp_path / "shown")]
    assert (
        main(["data", "show", "--config", TINY, f"--config.{cached(tmp_path / 'cache')}"] + shown)
        == 0
    )
    read = rows_of(capsys.readouterr().out.split("what the networks see")[0])
    assert {"video", "audio_latents", "text"} < read.keys() and "audio" not in read
    samples, _ = soundfile.read(tmp_path / "shown/000.wav", dtype="float32")
    index = int(np.random.default_rng((0, 0)).permutation(3)[0])
    source = build(configs.load(TINY)).data.train
    np.testing.assert_allclose(samples, source[index]["audio"], atol=1e-5)


def test_a_stale_cache_is_one_line(tmp_path, mistake):
    flags = ["--count", "2", "--fields", "audio", "--to", str(tmp_path)]
    assert main(["data", "cache", "--config", TINY, *flags]) == 0
    other = ["--config", TINY, "--config.codecs.mdct.scale=4.0"]
    line = mistake("data", "show", *other, f"--config.{cached(tmp_path)}", "--out", tmp_path / "s")
    assert "another stream than 'audio' (codec.scale is 8.0 there and 4.0 here)" in line
    line = mistake("data", "cache", *other, *flags)
    assert "holds another cache (fields.audio.codec.scale is 8.0 there and 4.0 here)" in line
    line = mistake("data", "cache", "--config", TINY, "--fields", "audo", "--to", tmp_path)
    assert "--fields audo: no codec encodes that field; did you mean 'audio'?" in line


def test_a_learned_codec_makes_the_latents_of_another_model(tmp_path, capsys, mistake):
    kl_vae = build(configs.load(f"{ROOT}/configs/image/kl_vae.py:tiny"))
    state = untrained(kl_vae)
    weights.save(tmp_path / "kl_vae", kl_vae, state)
    latents = "{'_target_': 'mmjax.codecs.latents:Latents', 'strides': (2, 2), 'features': 2}"
    dit = ["--config", f"{ROOT}/configs/image/dit.py:tiny", f"--config.codecs.latents={latents}"]
    flags = ["--count", "9", "--workdir", str(tmp_path / "kl_vae"), "--to", str(tmp_path / "cache")]
    assert main(["data", "cache", *dit, *flags]) == 0
    record = Cached(str(tmp_path / "cache"))[8]
    raw = kl_vae.data.train[8]
    assert record["label"] == raw["label"] and "image" not in record
    pixels = jnp.asarray(raw["image"][None] / np.float32(127.5) - 1)
    params = {"params": state.params["autoencoder"]}
    posterior = kl_vae.networks["autoencoder"].apply(params, pixels, method="encode")
    np.testing.assert_allclose(record["image_latents"], posterior.mean[0], atol=1e-5)
    capsys.readouterr()
    cache = f"--config.{cached(tmp_path / 'cache')}"
    assert main(["data", "show", *dit, cache, "--count", "2", "--out", str(tmp_path / "out")]) == 0
    seen = rows_of(capsys.readouterr().out.split("what the networks see")[1])
    assert seen["image"][:3] == ["Latents", "float32", "4x4x2"]
    line = mistake("data", "show", "--config", dit[1], cache, "--out", tmp_path / "out")
    assert "another stream than 'image'" in line  # pixels, which these latents are not
    line = mistake("data", "cache", *dit, "--to", tmp_path / "none")
    assert "no latents; make them with mmjax data cache" in line


def test_written_records_are_those_of_the_source(tmp_path, capsys):
    flags = ["--count", "5", "--split", "evaluation", "--to", str(tmp_path)]
    assert main(["data", "write", "--config", TINY, *flags]) == 0
    assert f"{tmp_path}: 5 records, 0 left out" in capsys.readouterr().out
    written, source = ArrayRecords(str(tmp_path)), build(configs.load(TINY)).data.evaluation
    assert len(written) == 5 and written.facts == source.facts
    for index in range(5):
        assert written[index].keys() == source[index].keys()
        for name, value in source[index].items():
            np.testing.assert_array_equal(written[index][name], value)


def test_a_tfds_data_set_of_both_splits(tmp_path, capsys):
    flags = ["--count", "3", "--tfds", "few_digits", "--to", str(tmp_path)]
    assert main(["data", "write", "--config", TINY, *flags]) == 0
    assert "the data set 'few_digits' of TFDS with 3 of train and 3 of evaluation" in (
        capsys.readouterr().out
    )
    system = build(configs.load(TINY))
    for split, source in [("train", system.data.train), ("evaluation", system.data.evaluation)]:
        fields = {"video": system.modalities["video"], "text": system.modalities["text"]}
        found = Tfds("few_digits", fields, split, data_dir=str(tmp_path))
        assert len(found) == 3
        texts = {found[i]["text"]: found[i]["video"] for i in range(3)}  # TFDS shuffles
        for index in range(3):
            np.testing.assert_array_equal(texts[source[index]["text"]], source[index]["video"])
