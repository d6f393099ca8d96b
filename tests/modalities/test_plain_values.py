"""Text, labels and actions: from files and from values in a manifest."""

import numpy as np
import pytest

from mmjax.modalities.action import Action
from mmjax.modalities.base import MediaError
from mmjax.modalities.label import Label
from mmjax.modalities.text import Text


def test_text_files(tmp_path):
    path = tmp_path / "caption.txt"
    path.write_bytes("\ufeffein  Söckchen\r\n fällt\n".encode())
    text = Text(length=4)
    assert text.read(str(path)) == "ein Söckchen fällt"
    text.save(str(path), "two words")
    assert path.read_text() == "two words\n" and text.read(str(path)) == "two words"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" \n", "is blank"),
        (b"ab\xff", r"is not UTF-8 text \(byte 2\)"),
        (b"a" * 2**21, "more than"),
    ],
)
def test_bad_text_files_are_named(tmp_path, content, reason):
    path = tmp_path / "caption.txt"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"caption\.txt: .*{reason}"):
        Text(length=4).read(str(path))


def test_numbers_in_files(tmp_path):
    path = str(tmp_path / "value.txt")
    label, action = Label(classes=10), Action(size=3)
    label.save(path, np.array(7, np.int32))
    assert label.read(path) == 7 and label.read(path).dtype == np.int32
    values = np.array([0.1, -1, 1 / 3], np.float32)
    action.save(path, values)
    assert np.array_equal(action.read(path), values)
    with pytest.raises(MediaError, match="expected 1 numbers, got 3"):
        label.read(path)


@pytest.mark.parametrize(
    ("modality", "value", "reason"),
    [
        (Label(classes=3), 3, "class 3 is not one of 0 to 2"),
        (Label(classes=3), 0.5, "class 0.5"),
        (Label(classes=3), True, "expected a class"),
        (Label(classes=3), "1", "expected a class, got '1'"),
        (Action(size=2), [1], r"expected float32 \[2\], got float32 \[1\]"),
        (Action(size=2), ["a", 1], "expected 2 numbers"),
        (Action(size=2), [0, 1.5], "outside -1.0 to 1.0"),
        (Action(size=2), [0, float("nan")], "outside"),
        (Text(length=2), 5, "expected text, got 5"),
    ],
)
def test_bad_values_are_named(modality, value, reason):
    with pytest.raises(MediaError, match=f"^line 7: .*{reason}"):
        modality.parse(value, "line 7")


def test_good_values():
    assert Label(classes=3).parse(2, "") == 2
    assert np.array_equal(Action(size=2).parse([0, 1], ""), [0, 1])
    assert Text(length=2).parse("a b", "") == "a b"
