"""Tasks, the judge, the control, and the table they end in."""

import dataclasses
import json
import math

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.evaluation.evaluator import Evaluation, Judge, Task, shuffled
from mmjax.evaluation.table import Results, Row, heading, number


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Share of clips whose sound names the picture; counted per clip, summed at the end."""

    spec_id = "agreement/v1"

    def extract(self, media, truth):
        return {"same": media["picture"] == media["sound"], "label": truth["label"]}

    def compute(self, features):
        assert features["same"].shape == features["label"].shape
        return {"share": features["same"].mean(), "clips": len(features["same"])}


def batch(*pictures):
    picture = np.array(pictures)
    return {"picture": picture, "sound": picture.copy()}, {"label": picture}


def test_a_judge_sees_all_clips_together():
    judge = Judge({"agreement": Agreement()})
    for media, truth in (batch(1, 2, 3), batch(4)):
        media["sound"][0] = 9
        judge.add(media, truth)
    assert judge.figures() == {"agreement/share": 0.5, "agreement/clips": 4.0}


def test_shuffling_takes_every_clip_its_own():
    media, _ = batch(1, 2, 3)
    mixed = shuffled(media, ("sound",))
    assert mixed["picture"] is media["picture"]
    assert sorted(mixed["sound"]) == [1, 2, 3]
    assert not (mixed["sound"] == media["sound"]).any()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"want": ()}, "want names no stream"),
        ({"want": ("a", "b"), "given": ("a",)}, "a: both given and wanted, but b is not given"),
        ({"want": ("a",), "prefix": ("b",)}, "prefix b: not among the wanted"),
    ],
)
def test_a_task_is_a_direction(fields, said):
    with pytest.raises(ValueError, match=said):
        Task(**fields)


def test_tasks_are_chosen_by_name():
    evaluation = Evaluation(tasks={"a_to_b": Task(("b",), ("a",)), "b_to_a": Task(("a",), ("b",))})
    assert list(evaluation.chosen()) == ["a_to_b", "b_to_a"]
    assert list(evaluation.chosen(("b_to_a",))) == ["b_to_a"]
    with pytest.raises(UserError, match="no task named 'a_to_c'; did you mean 'a_to_b'"):
        evaluation.chosen(("a_to_c",))


ROWS = (
    Row("untrained", "a_to_b", "one", 4, {"loss": 2.0, "sync/f1": 0.1, "pitch/true": 0.5}),
    Row("real", "", "one", 4, {"sync/f1": 0.99, "pitch/true": math.nan}),
    Row("real", "", "two", 8, {"sync/f1_2": 0.9, "pitch/sounds": 3.0}),
)
RESULTS = Results(ROWS, {"sync": "sync/v1"}, {"untrained": {"step": 0}}, 7, ("sync/f1",))


def test_results_survive_json():
    plain = json.loads(json.dumps(RESULTS.to_json(), allow_nan=False))
    again = Results.from_json(plain)
    assert again.rows[1].figures["pitch/true"] is None  # JSON has no NaN
    assert again.rows[0] == ROWS[0] and again.columns == ("sync/f1",) and again.seed == 7


def test_columns_follow_the_config_and_take_numbered_figures():
    assert RESULTS.shown("one") == ("loss", "sync/f1")
    assert RESULTS.shown("two") == ("sync/f1_2",)
    everything = dataclasses.replace(RESULTS, columns=())
    assert everything.shown("one") == ("loss", "sync/f1", "pitch/true")


def test_the_table():
    tables = dataclasses.replace(RESULTS, columns=()).text().split("\n\n")
    assert tables[0].splitlines() == [
        "one clips",
        "model      task    clips  loss  f1    true",
        "---------  ------  -----  ----  ----  ----",
        "untrained  a_to_b  4      2     0.1   0.5",
        "real       -       4      -     0.99  -",
    ]
    assert tables[1].splitlines()[0] == "two clips"
    assert tables[2].splitlines() == ["seed 7", "metric sync: sync/v1", "untrained: step 0"]


def test_headings_are_short_where_they_can_be():
    columns = ("sync/f1", "detector/f1", "pitch/true")
    assert [heading(c, columns) for c in columns] == ["sync/f1", "detector/f1", "true"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (math.nan, "-"), (0.12345, "0.123"), (1234.5, "1234"), (0.0, "0"), (12.0, "12")],
)
def test_numbers(value, text):
    assert number(value) == text
