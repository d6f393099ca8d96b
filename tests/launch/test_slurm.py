"""A real SLURM on this machine runs a job of launch/slurm: two tasks, requeued, to the end."""

import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from mmjax.training.writers import read_metrics
from tests.launch import cluster

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 60


def wait_for(true, seconds, explain):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.3)


def steps(workdir):
    return [row["step"] for row in read_metrics(workdir / "metrics.jsonl")]


def require_slurm():
    if lacking := cluster.missing():
        message = f"SLURM (slurm-wlm, munge) is not here: {', '.join(lacking)}"
        assert os.environ.get("CI") != "true", message
        pytest.skip(message)


def test_without_slurm_the_other_skips_by_name_and_fails_in_ci(monkeypatch):
    monkeypatch.setattr(cluster, "PROGRAMS", ("no-such-program",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="slurm-wlm.*no-such-program"):
        require_slurm()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="slurm-wlm.*no-such-program"):
        require_slurm()


def test_a_job_is_requeued_and_finishes(tmp_path):
    require_slurm()
    workdir = tmp_path / "a run"
    (tmp_path / "slurm").mkdir()
    command = [
        sys.executable, "-m", "launch.slurm", "--tasks-per-node", "2", "--srun=--overcommit",
        "--sbatch=--overcommit", "--config", "configs/quickstart.py:tiny",
        "--workdir", str(workdir), f"--config.train.steps={STEPS}", "--config.train.log_every=1",
        "--config.train.save_every=20", "--config.train.wait_limit=100",
        "--config.train.preview_every=0", "--config.train.evaluate_every=0",
    ]  # fmt: skip
    with cluster.slurm(tmp_path / "slurm") as variables:
        variables |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        job = re.search(r"job (\d+)", done.stdout)[1]
        log = workdir / f"slurm-{job}.log"

        def state():
            return cluster.job_state(job, variables)

        def explain():
            return f"{state()}\n{log.read_text() if log.exists() else ''}"

        wait_for(lambda: len(steps(workdir)) >= 3, 240, explain)
        assert cluster.output(["scontrol", "requeue", job], variables) == ""
        wait_for(lambda: state()["JobState"] == "PENDING", 60, explain)
        before = steps(workdir)
        assert before[-1] < STEPS
        cluster.output(["scontrol", "update", f"jobid={job}", "starttime=now"], variables)
        wait_for(lambda: state()["JobState"] in ("COMPLETED", "FAILED"), 240, explain)
        assert state()["JobState"] == "COMPLETED" and state()["Restarts"] == "1", explain()
    # SLURM's notice of the requeue was a request to stop, which both tasks have honoured.
    assert f"stopped at step {before[-1]}" in log.read_text()
    assert steps(workdir) == list(range(1, STEPS + 1))
