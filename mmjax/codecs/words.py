"""Text as integers, on the host: a closed vocabulary of words, and bytes."""

import dataclasses
import difflib
import functools
import re
from typing import ClassVar

import numpy as np

from mmjax.errors import UserError

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def split_words(text: str) -> list[str]:
    """The words of ``text`` in lower case, without punctuation (inner apostrophes stay)."""
    return _WORD.findall(text.lower())


def fit(ids: list[int], length: int, pad: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """``ids`` padded to ``length``, and the mask of what is not padding."""
    if len(ids) > length:
        raise UserError(f"text of {len(ids)} {kind} is longer than the model's length={length}")
    padded = np.full(length, pad, np.int32)
    padded[: len(ids)] = ids
    return padded, np.arange(length) < len(ids)


def check_length(name: str, raw_shape: tuple[int, ...], length: int) -> tuple[int]:
    """One position per token; UserError, which names the codec, where the modality has others."""
    if tuple(raw_shape) != (length,):
        raise UserError(f"{name}: length={length} differs from the text modality's {raw_shape}")
    return (length,)


@dataclasses.dataclass(frozen=True)
class Words:
    """A tokeniser over a closed vocabulary: id 0 is padding, word ``i`` has id ``i + 1``.

    Attributes:
      words: every word the model knows, in lower case, without repeats.
      length: tokens per text.
    """

    words: tuple[str, ...]
    length: int

    host: ClassVar[bool] = True
    pad: ClassVar[int] = 0

    def __post_init__(self):
        odd = [word for word in self.words if split_words(word) != [word]]
        if odd:
            raise UserError(f"Words: words must be single words in lower case, not {odd}")
        if len(set(self.words)) != len(self.words):
            raise UserError("Words: words are repeated")

    @property
    def vocabulary(self) -> int:
        """The number of ids, padding included."""
        return len(self.words) + 1

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index + 1 for index, word in enumerate(self.words)}

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """One position per token; a text modality of another length is a UserError."""
        return check_length("Words", raw_shape, self.length)

    def channels(self, raw_shape: tuple[int, ...]) -> None:
        """None: tokens are discrete."""

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """``text`` to int32 ids ``[length]`` and their mask; unknown words are a UserError."""
        words = split_words(text)
        unknown = list(dict.fromkeys(word for word in words if word not in self._ids))
        if unknown:
            raise UserError("; ".join(self._describe(word) for word in unknown))
        return fit([self._ids[word] for word in words], self.length, self.pad, "words")

    def decode(self, ids: np.ndarray) -> str:
        """The words of ``ids`` up to the first padding, joined by spaces."""
        words = []
        for index in np.asarray(ids).tolist():
            if index == self.pad:
                break
            words.append(self.words[index - 1])
        return " ".join(words)

    def _describe(self, word: str) -> str:
        """One clause that names an unknown word and the known ones most like it."""
        nearest = difflib.get_close_matches(word, self.words, n=3, cutoff=0.5)
        known = ", ".join(nearest or self.words[:8])
        return f"unknown word {word!r}; {'nearest' if nearest else 'some'} known words: {known}"


@dataclasses.dataclass(frozen=True)
class Bytes:
    """A tokeniser over UTF-8 bytes: 0 padding, 1 begin, 2 end, byte ``b`` has id ``b + 3``.

    The begin mark is not part of a text; it is there for processes that start from one.

    Attributes:
      length: tokens per text, the end mark included.
    """

    length: int

    host: ClassVar[bool] = True
    pad: ClassVar[int] = 0
    begin: ClassVar[int] = 1
    end: ClassVar[int] = 2
    vocabulary: ClassVar[int] = 259

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """One position per token; a text modality of another length is a UserError."""
        return check_length("Bytes", raw_shape, self.length)

    def channels(self, raw_shape: tuple[int, ...]) -> None:
        """None: tokens are discrete."""

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """``text`` to int32 ids ``[length]`` with an end mark, and their mask."""
        ids = [*(byte + 3 for byte in text.encode()), self.end]
        return fit(ids, self.length, self.pad, "bytes (end mark included)")

    def decode(self, ids: np.ndarray) -> str:
        """The text of ``ids`` up to the first end mark; malformed UTF-8 becomes U+FFFD."""
        ids = np.asarray(ids)
        ends = np.flatnonzero(ids == self.end)
        ids = ids[: ends[0]] if ends.size else ids
        return bytes((ids[ids >= 3] - 3).astype(np.uint8)).decode(errors="replace")
