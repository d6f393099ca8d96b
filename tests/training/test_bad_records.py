"""Training on data of which some cannot be used: to the end, named, and the same after a stop."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from mmjax.data.array_record import ArrayRecords, encode
from mmjax.training.batches import make_pipeline
from mmjax.training.loop import train
from mmjax.training.workdir import Workdir
from tests.harness import assert_same_bits
from tests.training.pairs import Pairs, StopAfter, system

COUNT, BAD = 100, (13, 42, 77, 90)
STEPS = 50  # of four examples each: two epochs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The system of ``pairs`` with records of which four cannot be used."""
    from array_record.python.array_record_module import ArrayRecordWriter

    path = tmp_path_factory.mktemp("records") / "pairs.array_record"
    records = [Pairs(COUNT)[index] for index in range(COUNT)]
    contents = [encode(record) for record in records]
    worse = (b"", b"garbage", encode(records[77] | {"x": np.zeros(5, np.float32)}),
             encode(records[90] | {"y": np.full(2, np.nan, np.float32)}))  # fmt: skip
    for index, content in zip(BAD, worse, strict=True):
        contents[index] = content
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for content in contents:
        writer.write(content)
    writer.close()
    whole = system(log_every=1)
    return dataclasses.replace(
        whole,
        data=dataclasses.replace(whole.data, train=ArrayRecords(str(path))),
        train=dataclasses.replace(whole.train, steps=STEPS),
    )


def listed(workdir):
    lines = (workdir.path / "bad_records.jsonl").read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


def test_a_run_ends_the_same_whether_it_was_stopped_or_not(made, tmp_path, caplog):
    names = {f"{made.data.train.path}[{index}]" for index in BAD}
    straight, stopped = Workdir(tmp_path / "straight"), Workdir(tmp_path / "stopped")
    state, _ = train(made, straight)
    assert int(state.step) == STEPS and list(np.asarray(state.bad_steps)) == [0, 0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert sorted(listed(straight)) == sorted(names)
    assert "bad records replaced in all: 4; " in caplog.text
    for steps in (7, 21):
        assert train(made, stopped, interrupt=StopAfter(steps))[1]
    again, _ = train(made, stopped)
    assert_same_bits(again, state)
    assert sorted(listed(stopped)) == sorted(names)
    reader = make_pipeline(made).iterate(STEPS)
    batch, expected = next(reader), make_pipeline(made).batch(STEPS)
    reader.close()
    assert all(np.array_equal(batch[name], expected[name]) for name in expected)
