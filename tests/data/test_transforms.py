"""Records to examples to batches."""

import dataclasses

import numpy as np
import pytest

from mmjax.codecs.words import Bytes
from mmjax.data.transforms import Fields, stack
from mmjax.errors import UserError
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text

FIELDS = Fields({"text": Text(length=8), "label": Label(classes=3)}, {"text": Bytes(8)})
RECORD = {"text": "five", "label": np.array(1, np.int32), "events": np.zeros(3), "note": "a"}


def test_fields_are_picked_and_text_is_tokenised():
    example = FIELDS(RECORD)
    assert set(example) == {"text", "text_mask", "label"}
    assert Bytes(8).decode(example["text"]) == "five"
    assert np.array_equal(example["text_mask"], Bytes(8).encode("five")[1])


def test_kept_fields_stay_as_they_are():
    example = dataclasses.replace(FIELDS, keep=("text", "events", "note", "label", "gone"))(RECORD)
    assert set(example) == {"text", "text_mask", "label", "caption", "events", "note"}
    assert example["caption"] == "five" and example["note"] == "a"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": np.array(1.0)}, r"record field 'label': expected int32 \[\], got float64 \[\]"),
        ({"text": "many letters"}, "longer"),
    ],
)
def test_misfits_are_named(change, reason):
    with pytest.raises(UserError, match=reason):
        FIELDS(RECORD | change)


def test_a_missing_field_is_named():
    with pytest.raises(UserError, match="no field 'label'; it holds text, events"):
        FIELDS({"text": "five", "events": 1})


def test_batches():
    batch = stack(
        [{"a": np.arange(3), "b": "x", "c": 1.5}, {"a": np.ones(3, int), "b": "yy", "c": 2}]
    )
    assert batch["a"].shape == (2, 3) and batch["c"].tolist() == [1.5, 2]
    assert batch["b"].dtype == object and batch["b"].tolist() == ["x", "yy"]
    with pytest.raises(UserError, match=r"field 'a' has shapes \[2\] and \[3\] in one batch"):
        stack([{"a": np.arange(3)}, {"a": np.arange(2)}])
    with pytest.raises(UserError, match="field 'b' is in some records"):
        stack([{"a": 1, "b": 1}, {"a": 1}])
