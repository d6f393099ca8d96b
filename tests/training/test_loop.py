"""The loop around the step: rows, hooks, checkpoints, and how it ends."""

import concurrent.futures
import contextlib
import os
import shutil
import signal
import time

import pytest

from mmjax.errors import UserError
from mmjax.training import manifest
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import train
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer, read_metrics
from tests.harness import assert_same_bits
from tests.training.pairs import system


def steps_of(workdir, name="loss/error"):
    return [row["step"] for row in read_metrics(workdir.metrics) if name in row]


def test_rows_and_checkpoints_appear_when_due(tmp_path):
    workdir = Workdir(tmp_path / "run")
    state, interrupted = train(system(keep=2), workdir)
    assert (int(state.step), interrupted) == (10, False)
    assert steps_of(workdir) == [2, 4, 6, 8, 10]
    checkpoints = Checkpoints(workdir.checkpoints, keep=2)
    assert checkpoints.steps() == [8, 10]
    checkpoints.close()
    losses = [row["loss/error"] for row in read_metrics(workdir.metrics)]
    assert losses[-1] < 0.5 * losses[0]
    assert list((workdir.path / "tensorboard").glob("events*"))


def test_a_finished_run_started_again_changes_nothing(tmp_path):
    workdir = Workdir(tmp_path)
    first, _ = train(system(), workdir)
    rows = workdir.metrics.read_text()
    again, _ = train(system(), workdir)
    assert_same_bits(again, first)
    assert workdir.metrics.read_text() == rows


def test_hooks_see_the_old_state_and_the_end(tmp_path):
    seen = {"preview": [], "evaluate": []}

    def hook(name):
        return lambda system, state, step, workdir, writer: seen[name].append(
            (step, int(state.step))
        )

    made = system(preview_every=4, evaluate_every=5)
    train(made, Workdir(tmp_path), preview=hook("preview"), evaluate=hook("evaluate"))
    assert seen == {"preview": [(4, 4), (8, 8), (10, 10)], "evaluate": [(5, 5), (10, 10)]}


def test_what_a_signal_left_half_done_is_done_after_the_resume(tmp_path):
    finished, begun = [], []

    def hook(system, state, step, workdir, writer):
        begun.append(step)
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        finished.append(step)

    made = system(evaluate_every=5, save_every=0)
    state, interrupted = train(made, Workdir(tmp_path), evaluate=hook)
    # It is left at once, and what it was called with is on disk already.
    assert interrupted and int(state.step) == 5 and (begun, finished) == ([5], [])
    train(made, Workdir(tmp_path), evaluate=hook)
    train(made, Workdir(tmp_path), evaluate=hook)
    assert (begun, finished) == ([5, 5, 10], [5, 10])


class Untimely:
    """Asks to stop while Python ignores exceptions, as it does when garbage is collected."""

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def test_a_request_in_a_finaliser_ends_a_hook_too(tmp_path):
    finished = []

    def hook(system, state, step, workdir, writer):
        Untimely()
        for _ in range(1000):
            time.sleep(0.01)
        finished.append(step)

    state, interrupted = train(system(evaluate_every=5), Workdir(tmp_path), evaluate=hook)
    assert interrupted and int(state.step) == 5 and not finished


def test_a_save_that_fails_ends_the_run_at_the_next_step(tmp_path, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "seal", full)
    raise_errors = Checkpoints.raise_errors

    def patient(checkpoints):  # a step takes less than the writing
        if checkpoints._finishing is not None:
            concurrent.futures.wait([checkpoints._finishing])
        raise_errors(checkpoints)

    monkeypatch.setattr(Checkpoints, "raise_errors", patient)
    with pytest.raises(UserError, match="4: could not be saved .*No space left on device"):
        train(system(log_every=1, save_every=4), Workdir(tmp_path))
    assert steps_of(Workdir(tmp_path)) == [1, 2, 3, 4]


def test_sigterm_between_steps_saves_and_returns(tmp_path):
    def hook(system, state, step, workdir, writer):
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    state, interrupted = train(system(evaluate_every=3), Workdir(tmp_path), evaluate=hook)
    assert interrupted and int(state.step) == 3
    assert signal.getsignal(signal.SIGTERM) is before
    again, interrupted = train(system(), Workdir(tmp_path))
    assert (int(again.step), interrupted) == (10, False)
    straight, _ = train(system(), Workdir(tmp_path / "straight"))
    assert_same_bits(again, straight)


class Broken(Exception):
    pass


@pytest.mark.parametrize("ending", ["the last step", "a request", "a defect"])
def test_a_save_on_the_way_out_waits_for_its_manifest(tmp_path, monkeypatch, ending):
    seal = manifest.seal

    def slow(folder):
        time.sleep(0.4)
        seal(folder)

    def hook(system, state, step, workdir, writer):
        if ending == "a request":
            os.kill(os.getpid(), signal.SIGTERM)
        elif ending == "a defect":
            raise Broken

    monkeypatch.setattr(manifest, "seal", slow)
    made, workdir = system(evaluate_every=10, save_every=0), Workdir(tmp_path)
    with pytest.raises(Broken) if ending == "a defect" else contextlib.nullcontext():
        train(made, workdir, evaluate=hook)
    assert manifest.sealed(workdir.checkpoints / "10")
    manifest.verify(workdir.checkpoints / "10")


def test_another_config_is_refused_and_a_longer_run_is_not(tmp_path):
    workdir = Workdir(tmp_path)
    config = {"name": "toy", "seed": 0, "train": {"steps": 10}}
    workdir.claim(config)
    with pytest.raises(UserError, match=r"another config \(seed is 0 there and 1 here\)"):
        workdir.claim({**config, "seed": 1})
    workdir.claim({**config, "train": {"steps": 20}})
    assert workdir.config()["train"]["steps"] == 20


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(UserError, match="no run here"):
        Workdir(tmp_path).config()


def test_rows_after_the_restored_step_are_cut_off(tmp_path):
    writer = Writer(tmp_path, step=0)
    for step in (1, 2, 3):
        writer.scalars(step, {"loss": 1.0 / step, "broken": float("nan")})
    writer.close()
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 4, "lo')  # cut short by a crash
    Writer(tmp_path, step=2).close()
    assert read_metrics(path) == [
        {"step": 1, "loss": 1.0, "broken": None}, {"step": 2, "loss": 0.5, "broken": None},
    ]  # fmt: skip


def test_a_workdir_can_be_moved(tmp_path):
    workdir = Workdir(tmp_path / "here")
    first, _ = train(system(), workdir)
    shutil.move(tmp_path / "here", tmp_path / "there")
    again, _ = train(system(), Workdir(tmp_path / "there"))
    assert_same_bits(again, first)
