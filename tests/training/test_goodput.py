"""The ledger of a run's time: every second in one bucket, whatever happens to its processes."""

import dataclasses
import json
import random
import time

import pytest

from mmjax.training import goodput
from mmjax.training.goodput import BUCKETS, Ledger, process_start
from mmjax.training.loop import train
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics
from tests.training.pairs import system


@dataclasses.dataclass
class Machine:
    """A clock that moves when it is told to, and what was compiled on it."""

    now: float = 100.0
    seconds: float = 0.0  # of compiling
    steps: int = 0  # that were compiled

    def monotonic(self):
        return self.now

    def time(self):
        return 1.7e9 + self.now

    def of(self, function):
        return self.steps


@pytest.fixture
def machine(monkeypatch):
    made = Machine()
    monkeypatch.setattr(goodput, "time", made)
    monkeypatch.setattr(goodput, "Compiles", lambda: made)
    return made


class Process:
    """A process of a run that does what it is told to in so many seconds."""

    def __init__(self, machine, folder, shortest_step=None):
        self.machine, self.at = machine, 0
        self.ledger = Ledger(folder, shortest_step=shortest_step)

    def wait(self, name, seconds):
        self.ledger.enter(name)
        self.machine.now += seconds
        self.ledger.enter("")

    def begin(self, step, seconds, compiling=0.0):
        self.wait("initialisation", seconds)
        self.ledger.take_up(step)
        self.at = step
        if compiling:
            self.step(compiling, "compile")

    def step(self, seconds, phase="step", compiling=0.0):
        self.ledger.enter(phase)
        self.machine.now += seconds
        self.machine.seconds += compiling
        self.ledger.enter("")
        self.at += 1
        self.ledger.arrived(self.at)


def seconds(process):
    row = process.ledger.row()
    found = {bucket: row[f"goodput/{bucket}_seconds"] for bucket in BUCKETS}
    return {bucket: value for bucket, value in found.items() if value}


def test_each_second_of_a_process_is_in_its_bucket(machine, tmp_path):
    process = Process(machine, tmp_path)
    process.begin(0, 5.0, compiling=7.0)
    for duration in (1.0, 2.0, 9.0):
        process.step(duration)
    process.wait("data", 0.5)
    process.wait("save", 0.25)
    process.wait("evaluate", 20.0)
    process.wait("preview", 10.0)
    machine.now += 4.0  # between two waits
    assert seconds(process) == {
        "init": 5.0, "compile": 7.0, "data": 0.5, "step": 16.0, "checkpoint": 0.25,
        "evaluation": 30.0,
    }  # fmt: skip
    row = process.ledger.row()
    assert row["goodput/share"] == pytest.approx(16.0 / 58.75)
    assert row["goodput/median_step_seconds"] == 2.0 and row[
        "goodput/p95_step_seconds"
    ] == pytest.approx(8.3)


def test_data_that_come_while_the_device_is_busy_cost_nothing(machine, tmp_path):
    process = Process(machine, tmp_path)
    process.begin(0, 0.0, compiling=1.0)
    process.ledger.busy = lambda: True
    process.wait("data", 3.0)
    process.ledger.busy = lambda: False
    process.wait("data", 2.0)
    assert seconds(process) == {"compile": 1.0, "data": 2.0, "step": 3.0}


def test_a_batch_of_another_shape_is_compiled_and_not_a_slow_step(machine, tmp_path):
    process = Process(machine, tmp_path)
    process.begin(0, 0.0, compiling=1.0)
    process.step(2.0)
    machine.steps = 2
    process.step(8.0, compiling=6.0)
    assert seconds(process) == {"compile": 7.0, "step": 4.0}
    row = process.ledger.row()
    assert row["goodput/compiles"] == 2 and row["goodput/p95_step_seconds"] == 2.0


def test_utilisation_is_the_shortest_step_over_the_median(machine, tmp_path):
    process = Process(machine, tmp_path, shortest_step=0.5)
    process.begin(0, 0.0, compiling=1.0)
    assert "goodput/mfu" not in process.ledger.row()
    for duration in (1.0, 2.0, 90.0):
        process.step(duration)
    assert process.ledger.row()["goodput/mfu"] == 0.25


def killed(machine, folder):
    """A run that saved at step 2, had two steps and an evaluation more, and is gone."""
    process = Process(machine, folder)
    process.begin(0, 3.0, compiling=4.0)
    process.step(1.0)
    process.wait("save", 0.5)
    process.ledger.row()
    process.step(1.0)
    process.wait("data", 0.25)
    process.step(1.0)
    process.wait("evaluate", 5.0)
    process.ledger.row()


def test_what_a_kill_undoes_is_lost_and_the_way_back_is_recovery(machine, tmp_path):
    begin = machine.now
    killed(machine, tmp_path)
    machine.now += 1000.0
    process = Process(machine, tmp_path)
    process.begin(2, 6.0, compiling=2.0)
    process.step(1.0)
    expected = {
        "init": 3.0, "compile": 4.0, "step": 2.0, "checkpoint": 0.5, "lost": 7.25,
        "recovery": 8.0, "down": 1000.0,
    }  # fmt: skip
    assert seconds(process) == expected and sum(expected.values()) == machine.now - begin
    assert process.ledger.row()["goodput/share"] == pytest.approx(
        2.0 / (sum(expected.values()) - 1000)
    )


def test_work_is_lost_once_and_a_run_without_a_checkpoint_loses_all(machine, tmp_path):
    killed(machine, tmp_path)
    for _ in range(2):  # neither gets as far as a step, let alone a checkpoint
        Process(machine, tmp_path).begin(2, 1.0)
    process = Process(machine, tmp_path)
    process.begin(2, 0.0, compiling=1.0)
    assert seconds(process)["lost"] == 7.25 and seconds(process)["down"] == 2.0
    process = Process(machine, tmp_path)
    process.begin(0, 0.0, compiling=1.0)
    found = seconds(process)
    assert found["lost"] == 7.25 + 1.5 and "step" not in found and found["recovery"] == 2.0


def test_going_back_past_bad_steps_is_lost_work_too(machine, tmp_path):
    process = Process(machine, tmp_path)
    process.begin(0, 0.0, compiling=1.0)
    process.step(2.0)
    process.ledger.row()
    process.step(4.0)
    process.wait("restore", 0.5)
    process.ledger.take_up(2)
    process.step(8.0)
    assert seconds(process) == {"compile": 1.0, "step": 10.0, "lost": 4.0, "recovery": 0.5}


def test_a_line_that_was_cut_short_is_no_line(machine, tmp_path):
    killed(machine, tmp_path)
    with (tmp_path / goodput.FILE).open("a") as file:
        file.write('{"step": 5, "at": 17')
    process = Process(machine, tmp_path)
    process.begin(2, 0.0, compiling=1.0)
    assert seconds(process)["lost"] == 7.25
    lines = (tmp_path / goodput.FILE).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 4, 3, 3]


@pytest.mark.parametrize("seed", range(20))
def test_buckets_add_up_to_the_elapsed_time_whatever_happens(machine, tmp_path, seed):
    """Kills at any moment: what was not noted yet when one came is ``down``, and no more."""
    draw, begin, saved = random.Random(seed), machine.now, 0
    for _ in range(4):
        process = Process(machine, tmp_path)
        process.begin(saved, draw.uniform(0.0, 9.0), compiling=draw.uniform(0.1, 9.0))
        for _ in range(draw.randrange(12)):
            process.step(draw.uniform(0.0, 3.0))
            process.wait(draw.choice(["data", "evaluate", "save", ""]), draw.uniform(0.0, 9.0))
            if draw.random() < 0.4:
                process.ledger.row()
                saved = process.at
        machine.now += draw.uniform(0.0, 99.0)
    last = read_metrics(tmp_path / goodput.FILE)[-1]
    assert sum(last["seconds"].values()) == pytest.approx(last["at"] - 1.7e9 - begin)
    assert all(value >= -1e-9 for value in last["seconds"].values())


def test_a_run_keeps_its_ledger_across_restarts_and_on_its_way_back(tmp_path):
    workdir, begin = Workdir(tmp_path), time.time()
    made = system(evaluate_every=2)
    short = dataclasses.replace(made, train=dataclasses.replace(made.train, steps=4))

    def evaluate(system, state, step, workdir, writer):
        time.sleep(0.2)

    train(short, workdir, evaluate=evaluate)
    time.sleep(0.3)
    train(made, workdir)
    last = read_metrics(tmp_path / goodput.FILE)[-1]
    found = last["seconds"]
    assert last["step"] == 10 and found.keys() == set(BUCKETS)
    assert sum(found.values()) == pytest.approx(last["at"] - begin, abs=0.05)
    assert found["evaluation"] >= 0.4 and found["down"] >= 0.29 and found["lost"] == 0.0
    assert found["compile"] > 0 < found["recovery"] and found["checkpoint"] > 0 < found["step"]
    row = read_metrics(workdir.metrics)[-1]
    assert (
        row["goodput/compiles"] == 1
        and row["goodput/median_step_seconds"] <= row["goodput/p95_step_seconds"]
    )
    assert 0 < row["goodput/share"] < 1 and row["goodput/evaluation_seconds"] == found["evaluation"]


def test_the_process_began_before_this_test():
    age = time.monotonic() - process_start()
    assert 0 < age < 7 * 24 * 3600
    assert age > time.process_time() / 64  # no more threads than that have run all the while
