"""The table of a model beside untrained weights, other models, real data and shuffled sound."""

import json

import pytest

from mmjax import config as configs
from mmjax.cli.main import main
from mmjax.evaluation.table import Results
from mmjax.training.workdir import Workdir

FEW = ("--tasks", "video_to_audio", "--sets", "held-out", "--clips", "4")


@pytest.fixture(scope="module")
def evaluated(run, weights):
    """The results of the run and of its own weights."""
    also = f"--also=shipped={weights}"
    assert main(["evaluate", "--workdir", str(run), "--name", "just trained", also, *FEW]) == 0
    return Results.from_json(json.loads((run / "evaluation.json").read_text()))


def test_rows(evaluated):
    rows = [(row.model, row.task, row.set, row.clips) for row in evaluated.rows]
    assert rows == [
        ("untrained", "video_to_audio", "held-out", 4),
        ("just trained", "video_to_audio", "held-out", 4),
        ("shipped", "video_to_audio", "held-out", 4),
        ("real", "", "held-out", 4),
        ("real, audio shuffled", "", "held-out", 4),
    ]


def test_real_data_stands_on_the_scale(evaluated):
    *_, real, mixed = (row.figures for row in evaluated.rows)
    assert real["synchrony/f1"] > 0.9 > mixed["synchrony/f1"]
    assert real["digit/accuracy"] == mixed["digit/accuracy"]  # the picture is the same
    assert "loss" not in real


def test_models_have_losses_and_equal_weights_equal_figures(evaluated):
    untrained, trained, shipped, *_ = (row.figures for row in evaluated.rows)
    assert trained["loss"] < untrained["loss"]
    assert shipped == pytest.approx(trained, nan_ok=True)
    # What is given is real, so the picture's figures are those of real clips.
    assert trained["digit/accuracy"] == evaluated.rows[-1].figures["digit/accuracy"]


def test_the_protocol_is_recorded(evaluated, run):
    assert evaluated.metrics["synchrony"].startswith("synchrony/")
    facts = evaluated.models["just trained"]
    assert facts["step"] == 8 and facts["config"] == configs.digest(Workdir(run).config())
    assert "Euler" in facts["sampler"] and facts["ema"] == 0.99


def test_the_table_is_printed(run, evaluated, tmp_path, capsys):
    capsys.readouterr()
    out = tmp_path / "table.json"
    assert main(["evaluate", "--workdir", str(run), "--out", str(out), *FEW]) == 0
    text = capsys.readouterr().out
    assert "real, audio shuffled" in text and "f1" in text and str(out) in text
    again = Results.from_json(json.loads(out.read_text()))
    assert again.rows[1].figures == pytest.approx(evaluated.rows[1].figures, nan_ok=True)


def test_exported_weights_carry_the_figures_of_their_step(run, evaluated, tmp_path):
    assert main(["weights", "export", "--workdir", str(run), "--to", str(tmp_path / "w")]) == 0
    metrics = json.loads((tmp_path / "w" / "metrics.json").read_text())
    assert Results.from_json(metrics) == evaluated


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "video_to_smell"], "no task named 'video_to_smell'"),
        (["--sets", "holiday"], "no held-out set named 'holiday'"),
        (["--also", "shipped=nowhere"], "nowhere: no such folder"),
        (["--also", "untrained=."], "the table has a row of that name"),
    ],
)
def test_mistakes(arguments, said, run, mistake):
    assert said in mistake("evaluate", "--workdir", run, *arguments)
