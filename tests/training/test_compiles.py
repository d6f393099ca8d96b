"""The step is compiled once, whatever happens to a run."""

import dataclasses

import jax
import numpy as np
import pytest

from mmjax.training.batches import make_pipeline
from mmjax.training.compiles import Compiles
from mmjax.training.loop import train
from mmjax.training.workdir import Workdir
from tests.harness import begin
from tests.training.pairs import first_state, spoiled, system
from tests.training.toy import batch
from tests.training.toy import system as toy


def compiled_in(*arguments, **options):
    """How often a run compiled its step."""
    compiles = Compiles()
    state, _ = train(*arguments, **options)
    return compiles.of("step"), int(state.step)


def test_once_from_the_first_batch_to_the_last_hooks_included(tmp_path):
    hook = lambda system, state, *_: jax.block_until_ready(first_state(system))  # noqa: E731
    made = system(evaluate_every=3, ema=0.9)
    assert compiled_in(made, Workdir(tmp_path), evaluate=hook) == (1, 10)


def test_once_more_in_a_run_that_goes_on(tmp_path):
    """As the process is another one then, that is again the only time."""
    made = system()
    first = dataclasses.replace(made, train=dataclasses.replace(made.train, steps=4))
    assert compiled_in(first, Workdir(tmp_path)) == (1, 4)
    assert compiled_in(made, Workdir(tmp_path)) == (1, 10)
    assert compiled_in(made, Workdir(tmp_path)) == (0, 10)  # there is nothing left to do


def test_going_back_to_a_checkpoint_compiles_nothing(tmp_path, capsys):
    poison = make_pipeline(system()).batch(5)["x"][0, 0]
    made = system(spoiled(lambda _, batch: batch["x"][0, 0] == poison), max_bad_steps=1)
    assert compiled_in(made, Workdir(tmp_path)) == (1, 10)
    assert "going back to step 4" in "".join(capsys.readouterr())


def test_once_for_each_shape_of_a_batch():
    step, state = begin(toy(), batch(8))
    compiles = Compiles()
    for size in (8, 4, 8, 4):
        state, _ = step(state, batch(size))
    assert compiles.of("step") == 2


def test_a_batch_of_other_types_is_seen():
    """What the counter is for: it goes unnoticed otherwise, but for the time."""
    step, state = begin(toy(), batch())
    compiles = Compiles()
    step(state, batch())
    step(state, {name: x.astype(np.float16) for name, x in batch().items()})
    assert compiles.of("step") == 2 and compiles.seconds > 0
    assert Compiles().of("step") == 0


@pytest.mark.parametrize("name", ["f", "step"])
def test_each_function_is_counted_by_its_name(name):
    def f(x):
        return x * 2

    f.__name__ = name
    compiles = Compiles()
    jax.jit(f)(np.ones(3))
    assert compiles.of(name) == 1 and compiles.of("g") == 0
