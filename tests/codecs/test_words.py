"""Words and bytes to ids and back, and what a user sees for a wrong text."""

import numpy as np
import pytest

from mmjax.codecs.words import Bytes, Words
from mmjax.errors import UserError

CODEC = Words(("a", "seven", "bounces", "three", "times", "don't"), length=6)


def test_words_come_back_without_case_and_punctuation():
    ids, mask = CODEC.encode("A seven, bounces THREE times.")
    assert ids.dtype == np.int32 and mask.dtype == bool
    assert ids.tolist() == [1, 2, 3, 4, 5, 0]
    assert mask.tolist() == [True] * 5 + [False]
    assert CODEC.decode(ids) == "a seven bounces three times"
    assert CODEC.encode("don't")[0][0] == 6 == CODEC.vocabulary - 1


def test_empty_text_is_all_padding():
    ids, mask = CODEC.encode("  ")
    assert not ids.any() and not mask.any() and CODEC.decode(ids) == ""


def test_every_unknown_word_is_named_with_its_neighbours():
    with pytest.raises(UserError, match=r"'sevn'; nearest known words: seven.*'xyzzy'; some known"):
        CODEC.encode("a sevn xyzzy")


def test_a_long_text_names_both_lengths():
    with pytest.raises(UserError, match="7 words.*length=6"):
        CODEC.encode("a " * 7)


@pytest.mark.parametrize("words", [("a", "a"), ("Seven",), ("two words",), ("",)])
def test_malformed_words_are_refused(words):
    with pytest.raises(UserError, match="Words: words"):
        Words(words, length=4)


@pytest.mark.parametrize("codec", [CODEC, Bytes(length=6)])
def test_grid_is_the_length_of_the_modality(codec):
    assert codec.grid((6,)) == (6,) and codec.channels((6,)) is None
    with pytest.raises(UserError, match="length=6 differs"):
        codec.grid((7,))


def test_bytes_come_back():
    codec = Bytes(length=16)
    ids, mask = codec.encode("naïve ☃")
    assert ids[mask][-1] == codec.end and codec.begin not in ids and ids.max() < codec.vocabulary
    assert codec.decode(ids) == "naïve ☃"
    assert codec.decode(np.array([1, 0xE2 + 3])) == "�"


def test_long_bytes_name_the_length():
    with pytest.raises(UserError, match="5 bytes.*length=4"):
        Bytes(length=4).encode("abcd")
