"""Two real processes on this machine, which talk through gloo: stopped, killed, hung, gone on."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from mmjax.sharding.mesh import MeshSpec
from mmjax.training.batches import make_pipeline
from mmjax.training.writers import read_metrics
from tests.multihost import worker

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 10
LIMIT = 16  # seconds; a process is lost after a quarter of them
# Batches that are read ahead are gone in no time; those after them take seconds to come.
SLOW = {"points": {"seconds": 1.0}, "wait_limit": LIMIT}


@contextlib.contextmanager
def started(workdir, options, processes=2, devices=1):
    """The processes of a run, which end with the test."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    command = [sys.executable, "-m", "tests.multihost.worker", str(workdir), json.dumps(options)]
    flags = ["--coordinator", f"127.0.0.1:{port}", "--processes", str(processes), "--process"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
    with contextlib.ExitStack() as stack:
        running = []
        for process in range(processes):
            more = [*flags, str(process)] if processes > 1 else []
            one = subprocess.Popen(
                [*command, *more], cwd=ROOT, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            running.append(stack.enter_context(one))
            stack.callback(one.kill)
        yield running


def ended(process, seconds=300):
    """Its exit code and what it printed."""
    said, _ = process.communicate(timeout=seconds)
    return process.returncode, said


def wait_for_row(workdir, running, step):
    while not [r for r in read_metrics(workdir / "metrics.jsonl") if r["step"] >= step]:
        assert all(process.poll() is None for process in running), [ended(p) for p in running]
        time.sleep(0.05)


def rows(workdir, *names):
    found = [row for row in read_metrics(workdir / "metrics.jsonl") if "seen" in row]
    return [[row[name] for name in names] for row in found]


def index_read_by(process, step):
    """Of an example that this process alone reads, for that step."""
    batch = make_pipeline(worker.system(worker.Points(), MeshSpec())).batch(step)
    row = process * worker.BATCH // 2
    return int(batch["y"][row, 0] - 2 * batch["x"][row, 0])


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of one process that nothing disturbs."""
    workdir = tmp_path_factory.mktemp("straight")
    with started(workdir, {}, processes=1) as (process,):
        code, said = ended(process)
    assert code == 0, said
    return workdir


@pytest.mark.parametrize(
    ("asked", "moment", "mesh"),
    [(1, "step", {"data": 2, "fsdp": 2}), (0, "evaluate", {"tensor": 2, "data": 2})],
)
def test_both_stop_at_one_step_and_one_process_goes_on_alone(
    asked, moment, mesh, straight, tmp_path
):
    options = SLOW if moment == "step" else {"evaluate_every": 4, **SLOW}
    with started(tmp_path, options) as running:
        if moment == "step":
            wait_for_row(tmp_path, running, 3)
        else:
            while "evaluates" not in running[asked].stdout.readline():
                assert running[asked].poll() is None
        running[asked].send_signal(signal.SIGTERM)
        codes, said = zip(*map(ended, running), strict=True)
    assert codes == (0, 0), said
    ends = [re.search(r"ends at step (\d+), stopped: True", text) for text in said]
    assert ends[0] and ends[1] and ends[0][1] == ends[1][1], said
    stopped = int(ends[0][1])
    # While they agree on a step, those whose batches were read ahead go by.
    assert (4 if moment == "evaluate" else 3) <= stopped < STEPS
    assert (tmp_path / f"checkpoints/{stopped}.sha256").stat().st_size > 100
    # Side effects are the first process's: one writer of metrics, one progress bar.
    assert [step for (step,) in rows(tmp_path, "step")] == list(range(1, stopped + 1))
    assert f"{stopped}/{STEPS}" in said[0] and "step/s" not in said[1]

    with started(tmp_path, {"mesh": mesh}, processes=1, devices=4) as (process,):
        code, said = ended(process)
    assert code == 0, said
    # The same examples in the same places and the same random numbers, before and after.
    names = "step", "seen", "drawn"
    assert rows(tmp_path, *names) == rows(straight, *names)
    loss, expected = rows(tmp_path, "loss/error"), rows(straight, "loss/error")
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_ends(killed, tmp_path):
    with started(tmp_path, SLOW) as running:
        wait_for_row(tmp_path, running, 2)
        running[killed].kill()
        since = time.monotonic()
        code, said = ended(running[1 - killed], LIMIT + 30)
    assert code == 75, said
    assert time.monotonic() - since < LIMIT
    place = rf"mmjax: process {1 - killed} of 2( in '\w+')?: process {killed} was lost"
    assert re.search(place, said), said


def test_a_hang_of_one_ends_both_by_name(tmp_path):
    hang = index_read_by(process=1, step=6)
    options = {"points": {"hang": hang}, "wait_limit": LIMIT}
    with started(tmp_path, options) as running:
        wait_for_row(tmp_path, running, 5)
        since = time.monotonic()
        (first, said), (second, its) = (ended(process, LIMIT + 40) for process in running)
    assert time.monotonic() - since < LIMIT + 30
    assert first == second == 75, (said, its)
    # Whoever's limit passes first speaks; it names the process that waits for data in any case.
    assert re.search(
        r"process 1 of 2: 'data' did not end within 16 s"
        r"|'step' did not end within 16 s; process 1 is in 'data'",
        said + its,
    ), (said, its)
    assert "most recent call first" in said + its


def test_a_mistake_that_one_meets_ends_both_with_its_reason(tmp_path):
    options = {"points": {"broken": index_read_by(process=1, step=6)}, "wait_limit": LIMIT}
    with started(tmp_path, options) as running:
        (first, said), (second, its) = (ended(process, LIMIT + 30) for process in running)
    assert (first, second) == (2, 2), (said, its)
    assert "process 1 failed: " in said
    assert "UserError" in its
