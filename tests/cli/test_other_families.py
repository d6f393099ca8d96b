"""The verbs on systems that are not flows: players, towers, a language model, an autoencoder."""

import json

import numpy as np
import pytest
from PIL import Image

from mmjax.cli.main import main
from tests.conftest import ROOT


@pytest.fixture
def trained(tmp_path):
    """Trains the tiny form of a config; returns the run's folder."""

    def trained(name):
        folder = tmp_path / "run"
        flags = ["--config", f"{ROOT}/configs/{name}.py:tiny", "--workdir", str(folder)]
        assert main(["train", *flags]) == 0
        return folder

    return trained


def test_a_generator_needs_no_sampler(trained, tmp_path, mistake):
    run, out = trained("image/gan"), tmp_path / "out"
    flags = ["sample", "--workdir", str(run), "--want", "image", "--out", str(out)]
    assert main([*flags, "--count", "2"]) == 0
    with Image.open(out / "000.png") as first, Image.open(out / "001.png") as second:
        assert first.size == (16, 16)
        assert not np.array_equal(np.asarray(first), np.asarray(second))
    assert json.loads((out / "000.json").read_text())["sampler"] is None
    assert "gan has no sampler" in mistake(*flags, "--steps", 3)


def test_a_language_model_writes_text(trained, tmp_path):
    run, out = trained("text/gpt"), tmp_path / "out"
    assert main(["sample", "--workdir", str(run), "--out", str(out)]) == 0
    assert (out / "000.txt").read_bytes()


def test_a_multimodal_autoencoder_fills_in_what_is_missing(trained, tmp_path):
    run, out = trained("multimodal/mvae"), tmp_path / "out"
    assert main(["sample", "--workdir", str(run), "--given", "label=3", "--out", str(out)]) == 0
    with Image.open(out / "000.png") as picture:
        assert picture.size == (8, 8)
    facts = json.loads((out / "000.json").read_text())
    assert facts["given"] == {"label": "3"} and facts["want"] == ["image"]


def test_a_codec_is_judged_by_what_comes_back(trained):
    run = trained("image/vq_vae2")
    assert main(["evaluate", "--workdir", str(run), "--clips", "8"]) == 0
    results = json.loads((run / "evaluation.json").read_text())
    untrained, model, real = (row["figures"] for row in results["rows"])
    assert [row["task"] for row in results["rows"]] == ["reconstruction", "reconstruction", ""]
    assert untrained["fidelity/psnr"] < model["fidelity/psnr"] < 50
    assert real["fidelity/ssim"] == pytest.approx(1) and real["fidelity/psnr"] is None
    assert 1 <= model["objective/perplexity/bottom"] <= 64
    assert results["metrics"]["fidelity"].startswith("fidelity/v1/image")


@pytest.mark.parametrize(
    ("name", "stream", "message"),
    [
        ("vl/clip", "text", "they generate nothing"),
        ("image/kl_vae", "image", "only gives back what it is given"),
    ],
)
def test_what_cannot_generate_says_so(name, stream, message, trained, tmp_path, mistake):
    run = trained(name)
    assert message in mistake("sample", "--workdir", run, "--want", stream, "--out", tmp_path)
