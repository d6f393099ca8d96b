"""Batches are a pure function of seed and step, whatever is broken and whoever reads."""

import dataclasses
import logging

import numpy as np
import pytest

from mmjax.data.mixture import Mixture
from mmjax.data.pipeline import Pipeline
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Record ``i`` holds ``start + i``; some cannot be read."""

    length: int = 50
    start: int = 0
    bad: frozenset = frozenset()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert 0 <= index < self.length
        if index in self.bad:
            raise UserError(f"number {self.start + index}: is torn")
        return {"number": np.int32(self.start + index)}

    def name_of(self, index):
        return f"number {self.start + index}"


def same(record):
    return record


def odd_is_bad(record):
    if record["number"] % 2:
        raise UserError("record field 'number': is odd")
    return record


def take(pipeline, start, count):
    batches = pipeline.iterate(start)
    found = np.stack([next(batches)["number"] for _ in range(count)])
    batches.close()
    return found


def test_each_epoch_visits_every_record_once_in_another_order():
    pipeline = Pipeline(Numbers(), same, 10, seed=3)
    epochs = np.stack([pipeline.batch(step)["number"] for step in range(15)]).reshape(3, 50)
    assert all(np.array_equal(np.sort(epoch), np.arange(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    other = Pipeline(Numbers(), same, 10, seed=4)
    assert not np.array_equal(other.batch(0)["number"], epochs[0, :10])
    ordered = Pipeline(Numbers(), same, 8, shuffle=False)
    assert np.array_equal(ordered.batch(6)["number"], [48, 49, 0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("length", [50, 70_000])
def test_resuming_continues(length):
    pipeline = Pipeline(Numbers(length), same, 7, seed=1)
    whole = take(pipeline, 0, 12)
    assert np.array_equal(take(pipeline, 5, 7), whole[5:])
    again = Pipeline(Numbers(length), same, 7, seed=1)
    assert (
        len(set(whole.ravel().tolist())) == min(length, 84) and (np.diff(whole.ravel()) < 0).any()
    )
    assert np.array_equal(np.stack([again.batch(s)["number"] for s in range(12)]), whole)


def test_hosts_read_their_rows_of_the_same_batches():
    pipeline = Pipeline(Numbers(), same, 8, seed=1)
    halves = [dataclasses.replace(pipeline, rows=rows) for rows in ((0, 4), (4, 8))]
    whole = take(pipeline, 2, 3)
    assert np.array_equal(np.concatenate([take(half, 2, 3) for half in halves], axis=1), whole)


def test_workers_change_nothing_and_report_what_they_replace(tmp_path, caplog):
    bad = frozenset((7, 21))
    here = Pipeline(Numbers(bad=bad), same, 10, seed=5)
    apart = dataclasses.replace(here, workers=2, bad_records=tmp_path / "bad.jsonl")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(take(apart, 3, 8), take(here, 3, 8))
    assert set(apart.bad.poll()) == set(here.bad.poll()) == {"number 7", "number 21"}
    named = {record.message for record in caplog.records if record.name.startswith("mmjax")}
    assert named == {
        *(f"bad record replaced: number {i}: is torn" for i in bad),
        "bad records replaced in all: 2",
        f"bad records replaced in all: 2; {tmp_path / 'bad.jsonl'} names them",
    }


def test_a_bad_record_moves_no_other():
    """One in a hundred is broken; the rest stay in their slots."""
    rng = np.random.default_rng(0)
    bad = frozenset(rng.choice(400, 4, replace=False).tolist())
    sound = take(Pipeline(Numbers(400), same, 20, seed=2), 0, 40)
    torn = Pipeline(Numbers(400, bad=bad), same, 20, seed=2)
    found = take(torn, 0, 40)
    slots = np.isin(sound, list(bad))
    assert slots.sum() == 8  # twice each in two epochs
    assert np.array_equal(found[~slots], sound[~slots])
    assert not np.isin(found, list(bad)).any()
    assert len(set(found[slots].tolist())) > 5  # not always the same stand-in
    assert set(torn.bad.poll()) == {f"number {i}" for i in bad}
    again = Pipeline(Numbers(400, bad=bad), same, 20, seed=2)
    assert np.array_equal(take(again, 0, 40), found)


def test_what_a_transform_refuses_counts_as_bad():
    pipeline = Pipeline(Numbers(), odd_is_bad, 10, seed=2, max_bad_share=0.5)
    assert not (take(pipeline, 0, 10) % 2).any()
    assert pipeline.bad.poll()["number 1"] == "record field 'number': is odd"


def test_past_a_share_the_run_stops_with_one_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    pipeline = Pipeline(Numbers(), odd_is_bad, 10, seed=2, max_bad_share=0.4, bad_records=path)
    with pytest.raises(UserError, match=r"records are bad, more than the share 0.4 .*bad\.jsonl$"):
        take(pipeline, 0, 10)
    none = Pipeline(Numbers(bad=frozenset([9])), same, 50, max_bad_share=0)
    with pytest.raises(UserError, match="1 of 50 records are bad, .* number 9: is torn"):
        none.batch(0)


@pytest.mark.parametrize("workers", [0, 1])
def test_hopeless_data_stops_with_the_reason(workers):
    pipeline = Pipeline(Numbers(9, bad=frozenset(range(9))), same, 4, workers=workers)
    with pytest.raises(UserError, match=r"^16 records in a row are bad; the last: number \d: is"):
        take(pipeline, 0, 1)


def test_counts_survive_a_restart(tmp_path):
    path = tmp_path / "bad.jsonl"
    for seed in (1, 2):
        pipeline = Pipeline(Numbers(bad=frozenset([seed])), same, 10, seed=seed, bad_records=path)
        take(pipeline, 0, 5)
    assert set(pipeline.bad.poll()) == {"number 1", "number 2"}
    assert len(path.read_text().splitlines()) == 2


def test_a_run_without_bad_records_writes_no_file(tmp_path):
    take(Pipeline(Numbers(), same, 10, bad_records=tmp_path / "bad.jsonl"), 0, 3)
    assert not list(tmp_path.iterdir())


def test_mixtures_keep_their_proportions():
    mixture = Mixture(
        {"few": Numbers(10, 1000), "many": Numbers(30), "inner": Mixture(
            {"a": Numbers(4, 2000), "b": Numbers(5, 3000)}, {"a": 1, "b": 1}
        )},
        {"few": 1.0, "many": 2.0, "inner": 1.0},
    )  # fmt: skip
    assert len(mixture) == 49
    numbers = [mixture[i]["number"] for i in range(49)]
    assert numbers == [*range(1000, 1010), *range(2000, 2004), *range(3000, 3005), *range(30)]
    assert mixture.name_of(12) == "number 2002"
    with pytest.raises(IndexError):
        mixture[49]
    pipeline = Pipeline(mixture, same, 16, seed=0)
    found = take(pipeline, 0, 20)
    kinds = np.digitize(found, [1000, 2000, 3000])
    for batch in kinds:
        assert np.bincount(batch, minlength=4).tolist() == [8, 4, 2, 2]
    few = found[kinds == 1]
    for epoch in few[:80].reshape(8, 10):
        assert np.array_equal(np.sort(epoch), np.arange(1000, 1010))


def test_a_stand_in_comes_from_the_same_part_of_a_mixture():
    parts = {"a": Numbers(20), "b": Numbers(20, 1000, frozenset(range(10)))}
    mixture = Mixture(parts, {"a": 1.0, "b": 1.0})
    pipeline = Pipeline(mixture, same, 8, seed=0, max_bad_share=0.5)
    found = take(pipeline, 0, 10)
    assert ((found >= 1000).sum(axis=1) == 4).all()
    assert all(name.startswith("number 10") for name in pipeline.bad.poll())
    order = take(
        Pipeline(Mixture({**parts, "b": Numbers(20, 1000)}, mixture.weights), same, 8), 0, 5
    )
    assert not np.array_equal(order[order < 1000], order[order >= 1000] - 1000)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="one weight per source"):
        Mixture({"a": Numbers()}, {"b": 1.0})
    with pytest.raises(UserError, match=r"weights\.a must be positive"):
        Mixture({"a": Numbers()}, {"a": -1.0})
    with pytest.raises(UserError, match="Numbers: the source holds no records"):
        Pipeline(Numbers(0), same, 2)
    with pytest.raises(ValueError, match="rows"):
        Pipeline(Numbers(), same, 2, rows=(1, 3))
