"""Text, labels and actions in files."""

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
