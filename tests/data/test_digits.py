"""Still handwritten digits."""

import numpy as np
import pytest

from mmjax.data.digits import NAMES, Digits, handwritten
from mmjax.errors import UserError


def test_records_show_the_labelled_handwriting():
    source = Digits("test", height=28, width=20)
    pictures, labels = handwritten("test")
    assert len(source) == len(pictures) == 360
    for index in range(0, 360, 40):
        record = source[index]
        assert record["image"].shape == (28, 20, 1) and record["image"].dtype == np.uint8
        assert record["label"] == labels[index]
        words = record["text"].split()
        assert NAMES[labels[index]] in words or str(labels[index]) in words
        assert set(words) <= set(source.facts["words"])
        coarse = record["image"][:28, :20, 0].reshape(4, 7, 4, 5).mean((1, 3))
        original = pictures[index].reshape(4, 2, 4, 2).mean((1, 3))
        assert np.corrcoef(coarse.ravel(), original.ravel())[0, 1] > 0.95


def test_the_original_size_is_untouched():
    source = Digits("train")
    assert np.array_equal(source[7]["image"][..., 0], handwritten("train")[0][7])


def test_captions_vary_with_the_seed_alone():
    captions = [[Digits("train", seed=seed)[i]["text"] for i in range(30)] for seed in (0, 0, 1)]
    assert captions[0] == captions[1] != captions[2]
    assert len(set(captions[0])) > 20


def test_mistakes_are_named():
    with pytest.raises(UserError, match="valid"):
        Digits("valid")
    with pytest.raises(IndexError):
        Digits("test")[360]
