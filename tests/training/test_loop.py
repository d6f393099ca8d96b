"""The loop around the step: rows, hooks, checkpoints, and how it ends."""

import dataclasses
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.modalities.action import Action
from mmjax.objectives.base import Aux, Term
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import train
from mmjax.training.state import init
from mmjax.training.system import Data
from mmjax.training.workdir import Workdir
from mmjax.training.writers import Writer, read_metrics
from tests.harness import assert_same_bits
from tests.training import toy

BATCH = 4

# Orbax leaves reads of the other arrays pending when one of them fails.
pending_reads = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Points and their targets."""

    length: int = 64

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        x = np.random.default_rng(index).normal(size=4).astype(np.float32)
        return {"x": x, "y": x[:2] * 2.0}


def pairs_error(ctx, batch, key, update):
    predicted, changed = ctx.apply("model", batch["x"], mutable=["counts"])
    aux = Aux(state=ctx.state + 1.0, mutable={"model": changed})
    return {"error": Term(jnp.square(predicted - batch["y"]))}, aux


def system(terms_of=pairs_error, config=None, **options):
    options = {"log_every": 2, "save_every": 4, **options}
    made = toy.system(toy.Toy(terms_of), **options)
    return dataclasses.replace(
        made,
        config=config or {"name": "toy"},
        modalities={"x": Action(4), "y": Action(2)},
        data=Data(train=Pairs(), batch_size=BATCH),
    )


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


def nan_from(step):
    def terms(ctx, batch, key, update):
        found, aux = pairs_error(ctx, batch, key, update)
        bad = jnp.where(ctx.step >= step, jnp.nan, 0.0)
        return {"fine": found["error"], "broken": Term(found["error"].values + bad)}, aux

    return terms


def test_bad_steps_in_a_row_end_the_run_and_name_the_term(tmp_path):
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match=r"step 8: loss/broken was not finite for 3 steps in a row"):
        train(system(nan_from(5), max_bad_steps=3, save_every=5), workdir)
    made = system()
    abstract = jax.eval_shape(lambda: init(made, next(iter_batch(made))))
    checkpoints = Checkpoints(workdir.checkpoints, keep=3)
    kept = checkpoints.restore_newest(abstract, print)
    checkpoints.close()
    assert int(kept.step) == 5
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept.params))


def iter_batch(made):
    from mmjax.training.batches import make_pipeline

    return make_pipeline(made).iterate(0)


def test_a_few_bad_steps_are_survived_and_counted(tmp_path):
    def terms(ctx, batch, key, update):
        found, aux = pairs_error(ctx, batch, key, update)
        bad = jnp.where((ctx.step == 2) | (ctx.step == 5), jnp.inf, 0.0)
        return {"error": Term(found["error"].values + bad)}, aux

    state, _ = train(system(terms, max_bad_steps=2), Workdir(tmp_path))
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


def damage_newest(workdir):
    """Cuts every data file of the newest step in half."""
    newest = max(workdir.checkpoints.iterdir(), key=lambda path: int(path.name))
    data = [path for path in newest.rglob("*") if path.is_file() and path.parent.name == "d"]
    for path in data:
        os.truncate(path, path.stat().st_size // 2)
    assert data
    return newest


@pending_reads
def test_a_truncated_checkpoint_is_named_and_the_one_before_is_used(tmp_path, capsys):
    workdir = Workdir(tmp_path)
    first, _ = train(system(), workdir)
    newest = damage_newest(workdir)
    again, _ = train(system(), workdir)
    assert f"{newest}: checkpoint cannot be restored" in capsys.readouterr().out
    assert_same_bits(again, first)


@pending_reads
def test_when_no_checkpoint_is_readable_nothing_is_lost(tmp_path):
    workdir = Workdir(tmp_path)
    train(system(keep=1), workdir)
    damage_newest(workdir)
    rows = workdir.metrics.read_text()
    with pytest.raises(UserError, match="none of its 1 checkpoints is readable"):
        train(system(keep=1), workdir)
    assert workdir.metrics.read_text() == rows
    assert len(list(workdir.checkpoints.iterdir())) == 1


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


def test_a_disk_that_is_full_loses_no_earlier_step(tmp_path, monkeypatch):
    made = system()
    abstract = jax.eval_shape(lambda: init(made, next(iter_batch(made))))
    state = jax.jit(lambda: init(made, next(iter_batch(made))))()
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    checkpoints.save(state)
    checkpoints.wait()

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(
        UserError, match="could not be saved .*No space left.*earlier steps are intact"
    ):
        checkpoints.save(state.replace(step=state.step + 1))
    assert_same_bits(checkpoints.restore(abstract, 0), state)
    checkpoints.close()


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
