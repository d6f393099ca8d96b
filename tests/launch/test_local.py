"""The README's command for several processes here: they train, make previews, and are stopped."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import mmjax
from mmjax.files import read_json
from mmjax.training.writers import read_metrics

ROOT = pathlib.Path(__file__).parents[2]
STEPS, PREVIEW = 40, 3


def start(workdir):
    line = re.search(r"^python (-m launch\.local .*)$", (ROOT / "README.md").read_text(), re.M)[1]
    words = shlex.split(line)
    words[words.index("--workdir") + 1] = str(workdir)
    fields = {"steps": STEPS, "log_every": 1, "preview_every": PREVIEW}
    words += [f"--config.train.{name}={value}" for name, value in fields.items()]
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def steps(workdir):
    rows = read_metrics(workdir / "metrics.jsonl")
    return [row["step"] for row in rows if "loss/all/total" in row]


def test_two_processes_make_previews_and_stop_on_a_signal_to_their_launcher(tmp_path):
    with start(tmp_path) as process:
        while process.poll() is None and not [s for s in steps(tmp_path) if s > PREVIEW]:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    (stopped,) = re.findall(r"stopped at step (\d+); the same command goes on", said)
    assert PREVIEW < int(stopped) < STEPS
    assert steps(tmp_path) == list(range(1, int(stopped) + 1))
    assert read_json(tmp_path / "environment.json")["processes"] == 2
    # The first process alone has written; one process alone can use what two have saved.
    assert any((tmp_path / "samples" / f"step_{PREVIEW}").iterdir())
    assert not list(tmp_path.glob("*.1*"))
    assert int(mmjax.restore(tmp_path)[1].step) == int(stopped)
