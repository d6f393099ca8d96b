"""A run that is killed and started again is, bit for bit, the run that was not."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import mmjax

ROOT = pathlib.Path(__file__).parents[2]
STEPS, SAVE_EVERY, KILLS = 20, 2, 5
TIMINGS = ("steps_per_second", "examples_per_second", "goodput/")


def command(workdir: pathlib.Path, *overrides: str) -> list[str]:
    config = ["--config", str(ROOT / "configs/quickstart.py:tiny")]
    fields = {"steps": STEPS, "save_every": SAVE_EVERY, "log_every": 1, "keep": 2}
    fields = [f"--config.train.{name}={value}" for name, value in fields.items()]
    # ``steps`` also ends the learning rate's decay, which must be the same in every start.
    verb = [sys.executable, "-m", "mmjax.cli.main", "train", "--workdir", str(workdir)]
    return [*verb, *config, *fields, *overrides]


def start(workdir: pathlib.Path, *overrides: str) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    return subprocess.Popen(
        command(workdir, *overrides), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output


def rows(workdir: pathlib.Path) -> list[dict]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if not k.startswith(TIMINGS)} for x in lines]


def wait_for_step(workdir: pathlib.Path, process: subprocess.Popen, step: int) -> None:
    """Returns once the run has written a row of ``step``, or has ended."""
    metrics = workdir / "metrics.jsonl"
    while process.poll() is None:
        text = metrics.read_text() if metrics.exists() else ""
        done = [json.loads(line)["step"] for line in text.splitlines() if line.endswith("}")]
        if done and done[-1] >= step:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> pathlib.Path:
    workdir = tmp_path_factory.mktemp("runs") / "uninterrupted"
    finish(start(workdir))
    return workdir


def assert_same(workdir: pathlib.Path, reference: pathlib.Path) -> None:
    assert rows(workdir) == rows(reference)
    (_, state), (_, expected) = mmjax.restore(workdir), mmjax.restore(reference)
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    for leaf, other in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(leaf), np.asarray(other))


def test_rows_cover_every_step(uninterrupted):
    assert [row["step"] for row in rows(uninterrupted)] == list(range(1, STEPS + 1))


def test_five_kills_change_nothing(uninterrupted, tmp_path):
    seed = random.randrange(2**32)
    print(f"moments drawn with seed {seed}")
    moments = random.Random(seed)
    for number in range(KILLS):
        process = start(tmp_path)
        # Anywhere from the start-up and the compilation to the middle of an asynchronous save.
        wait_for_step(tmp_path, process, moments.choice([0, number * 3, number * 4]))
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(tmp_path))
    assert_same(tmp_path, uninterrupted)


def test_terminate_saves_and_exits_cleanly(uninterrupted, tmp_path):
    process = start(tmp_path, "--config.train.save_every=0")
    wait_for_step(tmp_path, process, 3)
    process.terminate()
    output = finish(process)
    assert "the same command goes on from there" in output
    stopped = int(mmjax.restore(tmp_path)[1].step)
    assert 3 <= stopped < STEPS
    assert f"stopped at step {stopped}" in output
    finish(start(tmp_path))
    assert_same(tmp_path, uninterrupted)


def test_the_next_batch_is_the_same_after_a_resume(uninterrupted):
    from mmjax.training.batches import make_pipeline

    system, state = mmjax.restore(uninterrupted)
    pipeline = make_pipeline(system)
    ahead = pipeline.iterate(int(state.step))
    for step in (STEPS, STEPS + 1):
        batch, expected = next(ahead), pipeline.batch(step)
        assert batch.keys() == expected.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], expected[name])
