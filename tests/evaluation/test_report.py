"""The report of a run: one file without references, whose clips play and whose curves are drawn."""

import json
import pathlib
import re

import numpy as np
import pytest

from mmjax.cli.main import main
from mmjax.evaluation.media import save_example
from mmjax.evaluation.report_charts import Chart, Series, figure, label, smooth, ticks
from mmjax.evaluation.table import Results, Row
from mmjax.modalities.audio import Audio
from mmjax.modalities.video import Video
from mmjax.training.goodput import BUCKETS
from mmjax.training.judging import RESULTS
from mmjax.training.reporting import without_paths
from mmjax.training.workdir import Workdir
from tests.conftest import ROOT
from tests.evaluation.browser import browse, wait_for

SHAPES = {"video": Video(24, 24, 24, 12.5, 1), "audio": Audio(15360, 8000, 2)}
SECRET = "/home/somebody/clips"


def play_samples(folder: pathlib.Path) -> None:
    """Writes two previews of a moving square with a tone, at steps 40 and 80."""
    film = np.zeros((24, 24, 24, 1), np.uint8)
    for index in range(24):
        film[index, 8:16, index // 2 : index // 2 + 8] = 255
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(15360) / 8000).astype(np.float32)
    example = {"video": film, "audio": np.stack([tone, tone], axis=-1)}
    for step in (40, 80):
        facts = {"task": "video_to_audio", "step": step}
        save_example(folder / f"step_{step}", "video_to_audio_0", SHAPES, example, facts)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The folder of a run with metrics, samples, an evaluation and an environment."""
    from mmjax import config as configs

    folder = Workdir(tmp_path_factory.mktemp("run"))
    config = configs.plain(configs.load(f"{ROOT}/configs/quickstart.py:tiny"))
    config["name"] = "a <run>"
    folder.claim(config)
    rng = np.random.default_rng(0)
    lines = [
        {
            "step": step,
            "loss/all/total": 3 / step + rng.uniform(0, 0.02),
            "loss/video": 2 / step,
            "loss/video/time_0.00": 1 / step,
            "loss/video/time_0.75": 4 / step if step % 3 else None,
            "gradient_norm/all": 1.0,
            "examples_per_second": 12.0,
            "steps_per_second": 1.5,
            "bad_steps": 0.5 if step == 4 else 0.0,
            **{f"goodput/{bucket}_seconds": step * (bucket == "step") for bucket in BUCKETS},
            "goodput/lost_seconds": step / 4,
            "goodput/share": 0.8,
            "goodput/compiles": 1,
            "goodput/median_step_seconds": 0.7,
            "goodput/p95_step_seconds": 0.9,
            "goodput/mfu": 0.41,
        }
        for step in range(2, 81, 2)
    ]
    lines.append({"step": 80, "evaluation/loss": 0.1, "evaluation/a_to_b/synchrony/f1": 0.5})
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = (
        Row("untrained", "video_to_audio", "held-out", 4, {"loss": 2.0, "synchrony/f1": 0.1}),
        Row("real", "", "held-out", 4, {"synchrony/f1": 0.99}),
    )
    results = Results(rows, {"synchrony": "synchrony/v1"}, {}, 0)
    (folder.path / RESULTS).write_text(json.dumps(results.to_json()))
    (folder.path / "environment.json").write_text(json.dumps({"python": "3.11", "cpu_cores": 2}))
    play_samples(folder.samples)
    return folder


@pytest.fixture(scope="module")
def page(workdir):
    """The report."""
    assert main(["report", "--workdir", str(workdir.path)]) == 0
    return workdir.path / "report.html"


def test_the_page_is_one_file_without_references_or_places(page, workdir):
    text = page.read_text()
    links = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)
    assert not links and "<script" not in text and "@import" not in text
    assert str(workdir.path) not in text and workdir.path.name not in text
    assert "a &lt;run&gt;" in text and "<run>" not in text


def test_the_page_shows_every_part(page):
    text = page.read_text()
    for said in ("steps withheld", "Learning rate", "Loss of video by noise level", "Held-out loss",
                 "Speed", "synchrony/v1", "untrained", "step 40", "step 80", "3.11"):  # fmt: skip
        assert said in text
    assert "80.0 s, 80.0%" in text and "20.0 s, 20.0%" in text and "41.0%" in text
    assert "<b>1</b><span>steps withheld</span>" in text  # half of the two steps of one line
    assert text.count("<video") == 2 and text.count("data:video/mp4;base64,") == 2


def test_clips_play_with_sound_and_curves_are_drawn(page, tmp_path):
    with browse(page, tmp_path / "profile") as evaluate:
        evaluate("window.film = document.querySelector('video'); film.play(); 0")
        wait_for(lambda: evaluate("film.currentTime > 0.3 && !film.paused"))
        wait_for(lambda: evaluate("film.webkitAudioDecodedByteCount > 0"))
        assert evaluate("film.webkitVideoDecodedByteCount") > 0
        assert evaluate("[film.videoWidth, film.videoHeight]") == [192, 192]
        before = evaluate("film.currentTime")
        wait_for(lambda: evaluate(f"film.currentTime != {before}"))
        curves = evaluate(
            "[...document.querySelectorAll('svg.linear path.curve')].map(path => ["
            "path.getTotalLength(), path.getBoundingClientRect().width,"
            "path.getAttribute('d').split('L').length])"
        )
        assert len(curves) >= 6
        length, width, points = curves[0]
        assert length > 400 and width > 300 and points == 40
        shown = "getComputedStyle(document.querySelector('svg.log')).display"
        assert evaluate(shown) == "none"
        evaluate("document.querySelector('.chart input').click(); 0")
        assert evaluate(shown) == "block"
        # Nothing sticks out to the side.
        assert evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_run_without_samples_or_figures_says_how_to_get_them(workdir, tmp_path):
    bare = Workdir(tmp_path / "bare")
    bare.claim(workdir.config())
    bare.metrics.write_text('{"step": 1, "loss/all/total": 1.0}\n')
    assert main(["report", "--workdir", str(bare.path), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text()
    assert "mmjax evaluate" in text and "preview_every" in text


def test_a_run_that_has_not_begun_is_one_line(workdir, tmp_path, capsys):
    empty = Workdir(tmp_path / "empty")
    empty.claim(workdir.config())
    assert main(["report", "--workdir", str(empty.path)]) == 2
    assert "no metrics yet" in capsys.readouterr().err


def test_paths_are_cut_to_their_names():
    config = {"data": {"root": SECRET, "names": ("~/x/y", "a/b", "c"), "rate": 0.5, "size": 3}}
    assert without_paths(config) == {
        "data": {"root": "clips", "names": ["y", "a/b", "c"], "rate": 0.5, "size": 3}
    }


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.037, 0.9), (3.0, 3.0), (-2.0, 7e5)])
def test_ticks_enclose_the_values(low, high):
    found = ticks(low, high, log=False)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8
    assert np.allclose(np.diff(found), found[1] - found[0])


@pytest.mark.parametrize(("low", "high"), [(0.02, 3.0), (1e-6, 1e3), (0.5, 0.5), (1.0, 10.0)])
def test_logarithmic_ticks_enclose_the_values(low, high):
    found = ticks(low, high, log=True)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 10
    assert found == sorted(set(found))


def test_smoothing_keeps_lines_and_takes_off_noise():
    line = np.linspace(1, 2, 100)
    np.testing.assert_allclose(smooth(line, log=False)[6:-6], line[6:-6])
    np.testing.assert_allclose(smooth(np.full(50, 3.0), log=True), 3.0)
    noise = np.random.default_rng(0).normal(size=200)
    assert smooth(noise, log=False).std() < 0.5 * noise.std()


def test_a_long_or_broken_curve_is_a_short_path():
    steps = np.arange(5000.0)
    html = figure(Chart("loss", (Series("a", steps, np.where(steps % 7, 1.0, np.nan)),)))
    assert html.count("<path") == 4 and len(html) < 40_000 and "nan" not in html
    flat = figure(Chart("zero", (Series("a", steps[:2], np.zeros(2)),)))
    assert "log scale" not in flat and "nan" not in flat


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (12000.0, "12k"), (1e-6, "1e-6"), (20.0, "20"), (2.5e-5, "2.5e-5")],
)
def test_labels_are_short(value, text):
    assert label(value) == text
