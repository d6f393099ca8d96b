"""Steps that are not finite: withheld, counted, left behind, and never on disk."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import train
from mmjax.training.optimiser import Schedule, Sgd
from mmjax.training.state import init
from mmjax.training.step import make_step
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics
from tests.harness import assert_same_bits
from tests.training.pairs import StopAfter, first_state, spoiled, system
from tests.training.toy import one_update

BAD = (5, 6, 7)  # the batches whose data are poisoned


def finite(state):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


def on_disk(workdir, made):
    checkpoints = Checkpoints(workdir.checkpoints, keep=made.train.keep)
    abstract = jax.eval_shape(lambda batch: init(made, batch), make_pipeline(made).batch(0))
    found = [checkpoints.restore(abstract, step) for step in checkpoints.steps()]
    checkpoints.close()
    return found


def batches(count):
    return list(itertools.islice(make_pipeline(system()).iterate(0), count))


def test_a_run_that_cannot_get_further_ends_and_names_step_and_term(tmp_path, capsys):
    workdir = Workdir(tmp_path)
    made = system(spoiled(lambda step, _: step >= 5), max_bad_steps=3, max_rollbacks=2)
    message = "step 8: loss/broken was not finite for 3 steps in a row, and going back 2 times"
    with pytest.raises(UserError, match=message):
        train(made, workdir)
    said = "".join(capsys.readouterr())
    assert said.count("going back to step 4") == 2
    assert said.count("step 6: loss/broken is not finite; the step is withheld") == 3
    kept = on_disk(workdir, made)
    assert [int(state.step) for state in kept] == [4] and all(map(finite, kept))
    assert [row["step"] for row in read_metrics(workdir.metrics)][:2] == [2, 4]


def test_a_few_bad_steps_are_survived_and_counted(tmp_path):
    bad = spoiled(lambda step, _: (step == 2) | (step == 5))
    state, _ = train(system(bad, max_bad_steps=2), Workdir(tmp_path))
    assert list(np.asarray(state.bad_steps)) == [0, 2]
    assert int(state.step) == 10 and int(state.data_offset) == 0
    rows = read_metrics(Workdir(tmp_path).metrics)
    assert sum(row["bad_steps"] for row in rows) == 1.0  # one of two steps in two of the rows


@pytest.fixture(scope="module")
def poisoned():
    """A system whose loss is infinite on some batches, at whatever step they come."""
    marks = np.array([batches(max(BAD) + 1)[number]["x"][0, 0] for number in BAD])
    bad = spoiled(lambda step, batch: (batch["x"][0, 0] == marks).any())
    return system(bad, max_bad_steps=3, keep=9, log_every=1)


@pytest.fixture(scope="module")
def past_it(poisoned, tmp_path_factory):
    """A run that meets them: back from step 8 to the checkpoint of step 4, on with batch 8."""
    workdir = Workdir(tmp_path_factory.mktemp("poisoned"))
    return workdir, train(poisoned, workdir)[0]


def test_the_data_of_bad_steps_are_left_behind(poisoned, past_it):
    workdir, state = past_it
    assert int(state.step) == 10 and int(state.data_offset) == 4
    assert list(np.asarray(state.bad_steps)) == [0, 3]
    rows = read_metrics(workdir.metrics)
    assert [row["step"] for row in rows] == list(range(1, 11))  # cut back, then written anew
    assert [row.get("batches_skipped", 0) for row in rows] == [0] * 4 + [4] * 6
    assert all(row["loss/broken"] is not None for row in rows)
    assert all(map(finite, on_disk(workdir, poisoned)))


def test_it_is_the_run_that_reads_the_other_batches_alone(poisoned, past_it):
    step, state, data = jax.jit(make_step(poisoned)), first_state(poisoned), batches(14)
    for number in (*range(4), *range(8, 14)):
        state, _ = step(state, data[number])
    assert_same_bits(past_it[1].params, state.params)


@pytest.mark.parametrize("steps", range(5, 12))
def test_a_run_that_is_stopped_among_bad_steps_ends_the_same(poisoned, past_it, tmp_path, steps):
    """Before them, between two, just when it goes back, and after."""
    workdir = Workdir(tmp_path)
    train(poisoned, workdir, interrupt=StopAfter(steps))
    assert all(map(finite, on_disk(workdir, poisoned)))
    again, _ = train(poisoned, workdir)
    assert_same_bits(again, past_it[1])


def test_without_a_checkpoint_it_begins_again_with_other_data(poisoned, tmp_path):
    made = dataclasses.replace(poisoned, train=dataclasses.replace(poisoned.train, save_every=0))
    state, _ = train(made, Workdir(tmp_path))
    assert int(state.step) == 10 and int(state.data_offset) == 8


def test_parameters_that_an_update_overflows_never_reach_the_disk(tmp_path, capsys):
    """The gradient of step 2 is finite, and the rate times it is not."""
    made = system(
        updates=one_update(optimiser=Sgd(Schedule(3e38, warmup=1))),
        save_every=1, keep=9, max_bad_steps=2, max_rollbacks=1,
    )  # fmt: skip
    workdir = Workdir(tmp_path)
    with pytest.raises(UserError, match="every checkpoint is finite"):
        train(made, workdir)
    assert "step 2: a gradient or a part of the new state is not" in capsys.readouterr().out
    kept = on_disk(workdir, made)
    assert kept and all(map(finite, kept))
