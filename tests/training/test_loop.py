"""The loop around the step: rows, hooks, checkpoints, and how it ends."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import train
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer, read_metrics
from tests.harness import assert_same_bits
from tests.training.pairs import first_state, spoiled, system


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


def test_bad_steps_in_a_row_end_the_run_and_name_the_term(tmp_path):
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match=r"step 8: loss/broken was not finite for 3 steps in a row"):
        train(system(spoiled(lambda step, _: step >= 5), max_bad_steps=3, save_every=5), workdir)
    abstract = jax.eval_shape(lambda: first_state(system()))
    checkpoints = Checkpoints(workdir.checkpoints, keep=3)
    kept = checkpoints.restore_newest(abstract, print)
    checkpoints.close()
    assert int(kept.step) == 5
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept.params))


def test_a_few_bad_steps_are_survived_and_counted(tmp_path):
    bad = spoiled(lambda step, _: (step == 2) | (step == 5))
    state, _ = train(system(bad, max_bad_steps=2), Workdir(tmp_path))
    assert list(np.asarray(state.bad_steps)) == [0, 2]
    assert int(state.step) == 10
    rows = read_metrics(Workdir(tmp_path).metrics)
    assert sum(row["bad_steps"] for row in rows) == 1.0  # one of two steps in two of the rows


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
