"""What a run leaves behind."""

import json

import av

from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics


def test_a_run_leaves_metrics_samples_and_its_environment(run):
    rows = read_metrics(run / "metrics.jsonl")
    steps = [row["step"] for row in rows if "steps_per_second" in row]  # a hook has its own row
    assert steps == list(range(1, 9))
    environment = json.loads((run / "environment.json").read_text())
    assert environment["command"].startswith("mmjax train --config quickstart.py:tiny")
    assert str(run.parent) not in (run / "environment.json").read_text()
    names = {path.name for path in (run / "samples" / "step_8").iterdir()}
    for task in Workdir(run).config()["evaluation"]["tasks"]:
        assert {f"{task}_0{end}" for end in (".mp4", ".wav", ".sheet.png", ".json")} <= names
    assert len(list((run / "tensorboard").iterdir())) == 1


def test_previews_hold_what_was_given(run):
    """The task from film to sound keeps the film: its preview shows more than noise."""
    facts = json.loads((run / "samples" / "step_8" / "video_to_audio_0.json").read_text())
    assert facts["step"] == 8 and facts["task"] == "video_to_audio"
    with av.open(str(run / "samples" / "step_8" / "video_to_audio_0.mp4")) as file:
        first = next(file.decode(video=0)).to_ndarray(format="gray")
    assert (first < 8).mean() > 0.5 and first.max() > 200  # a bright digit on black
