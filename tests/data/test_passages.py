"""Passages: together they are the text, apart they share nothing; real prose; clear refusals."""

import pickle

import pytest

from mmjax.data.passages import Passages
from mmjax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "second.md").write_text("x" * 60, encoding="utf-8")
    (tmp_path / "a.txt").write_text("".join(chr(97 + i % 26) for i in range(79)), encoding="utf-8")
    (tmp_path / ".hidden.txt").write_text("h" * 100, encoding="utf-8")
    (tmp_path / "c.png").write_bytes(b"p" * 100)
    return str(tmp_path)


def test_splits_share_out_the_text_in_order(folder):
    train, test = Passages(folder, "train", 5), Passages(folder, "test", 5)
    assert (len(train), len(test)) == (26, 2)
    passages = [train[i]["text"] for i in range(26)]
    passages.insert(9, test[0]["text"])
    passages.insert(19, test[1]["text"])
    expected = "".join(chr(97 + i % 26) for i in range(79)) + "\n" + "x" * 60
    assert "".join(passages) == expected
    assert pickle.loads(pickle.dumps(train))[3] == train[3]


def test_a_character_cut_in_two_is_left_out(tmp_path):
    (tmp_path / "a.txt").write_text("aé" * 9, encoding="utf-8")
    assert Passages(str(tmp_path), "train", 5)[0]["text"] == "aéa"
    assert Passages(str(tmp_path), "train", 5)[1]["text"] == "aéa"


def test_prose_that_a_package_ships():
    source = Passages("package:sklearn.datasets.descr", "train", 256)
    text = "".join(source[i]["text"] for i in range(len(source)))
    assert len(text) > 20_000 and text.count(" the ") > 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("nowhere", "train", 5), "nowhere: cannot be read"),
        (("package:no.such", "train", 5), "package:no.such: cannot be read"),
        (("{folder}", "train", 500), "holds no train passage of 500 bytes"),
        (("{folder}", "dev", 5), "'dev'"),
        (("{folder}", "train", 0), "0 bytes"),
    ],
)
def test_mistakes_are_one_clear_line(folder, fields, message):
    root, split, size = fields
    with pytest.raises(UserError, match=message):
        Passages(root.format(folder=folder), split, size)
