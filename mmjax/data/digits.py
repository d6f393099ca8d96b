"""Real handwritten digits: the train and test split, names, and a source of still pictures."""

import dataclasses
import functools
from typing import SupportsIndex

import numpy as np

from mmjax.data.splits import SPLITS, check_split, place
from mmjax.typing import Int, UInt8

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_STILL_CAPTIONS = (
    "{article} {name}",
    "{article} {figure}",
    "the digit {name}",
    "the digit {figure}",
    "the number {name}",
    "a handwritten {name}",
    "a handwritten {figure}",
    "a picture of {article} {name}",
)


def article(label: int) -> str:
    """``a`` or ``an``, as the digit's spoken name needs."""
    return "an" if label == 8 else "a"


@functools.cache
def handwritten(split: str) -> tuple[UInt8[np.ndarray, "N 8 8"], Int[np.ndarray, " N"]]:
    """The digits of one split: pictures uint8 ``[N, 8, 8]`` (0 to 255) and labels int64 ``[N]``.

    scikit-learn's copy of the UCI optical digits holds 1,797 pictures ordered by writer, so the
    last fifth, which is the test split, is by hands that the training split has not seen.
    """
    check_split(split, "the handwritten digits")
    from sklearn.datasets import load_digits

    data = load_digits()
    pictures = np.clip(data.images * (255 / 16), 0, 255).astype(np.uint8)
    first_test = len(pictures) * 4 // 5
    chosen = slice(None, first_test) if split == "train" else slice(first_test, None)
    return pictures[chosen], data.target[chosen].astype(np.int64)


@functools.cache
def instances(split: str, label: int) -> Int[np.ndarray, " N"]:
    """Indices into ``handwritten(split)`` of the pictures that show ``label``."""
    return np.flatnonzero(handwritten(split)[1] == label)


@functools.cache
def resized(split: str, instance: int, height: int, width: int) -> UInt8[np.ndarray, "H W"]:
    """One picture of ``handwritten(split)`` in another size, bicubic, uint8 ``[height, width]``."""
    from PIL import Image

    picture = Image.fromarray(handwritten(split)[0][instance])
    sized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    sized.setflags(write=False)
    return sized


@dataclasses.dataclass(frozen=True)
class Digits:
    """Still handwritten digits with their labels and captions, one record per picture.

    A record holds ``image`` uint8 ``[height, width, 1]``, ``label`` int32 and ``text``. The caption
    is drawn from (seed, split, index), so a record never changes.

    Attributes:
      split: ``"train"`` or ``"test"`` (hands that the training split has not seen).
      height: rows of the picture; the originals have 8.
      width: columns of the picture.
      seed: chooses the captions.
    """

    split: str
    height: int = 8
    width: int = 8
    seed: int = 0

    def __post_init__(self):
        handwritten(self.split)

    def __len__(self) -> int:
        return len(handwritten(self.split)[1])

    def __getitem__(self, index: SupportsIndex) -> dict:
        index = place(self, index)
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), index))
        label = int(handwritten(self.split)[1][index])
        caption = _STILL_CAPTIONS[rng.integers(len(_STILL_CAPTIONS))]
        return {
            "image": resized(self.split, index, self.height, self.width)[..., None].copy(),
            "label": np.int32(label),
            "text": caption.format(article=article(label), name=NAMES[label], figure=label),
        }

    @property
    def facts(self) -> dict:
        """``words``: the closed vocabulary of the captions."""
        words = {word for text in _STILL_CAPTIONS for word in text.split() if word[0] != "{"}
        figures = {str(label) for label in range(len(NAMES))}
        return {"words": tuple(sorted(words | figures | {"a", "an"} | set(NAMES)))}
