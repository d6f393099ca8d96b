"""Tokenisers that others have trained, read from their files by the libraries that made them.

They run on the host, one text at a time. None cuts a text short: one of more tokens than
``length``, its marks included, is a UserError, whatever truncation a file asks for.
"""

import abc
import dataclasses
import functools
import importlib
import pathlib
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from mmjax.codecs.words import check_length, fit
from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class TokeniserFile(abc.ABC):
    """What tokenisers read from a file have in common.

    Attributes:
      path: the file.
      length: tokens per text, marks included.
    """

    path: str
    length: int

    host: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def vocabulary(self) -> int:
        """The number of ids, marks included."""

    @property
    @abc.abstractmethod
    def end(self) -> int:
        """The id of the mark after a text."""

    @property
    @abc.abstractmethod
    def pad(self) -> int:
        """The id that fills a text up."""

    @abc.abstractmethod
    def pieces(self, text: str) -> list[int]:
        """The ids of a text of any length, as the library gives them."""

    @abc.abstractmethod
    def join(self, ids: list[int]) -> str:
        """The text of ids, without marks."""

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """One position per token; a text modality of another length is a UserError."""
        return check_length(type(self).__name__, raw_shape, self.length)

    def channels(self, raw_shape: tuple[int, ...]) -> None:
        """None: tokens are discrete."""

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """``text`` to int32 ids ``[length]`` with an end mark, and their mask."""
        ids = self.pieces(text)
        if not ids or ids[-1] != self.end:
            ids = [*ids, self.end]
        return fit(ids, self.length, self.pad, "tokens (marks included)")

    def decode(self, ids: np.ndarray) -> str:
        """The text of ``ids`` up to the first end mark, without other marks."""
        ids = np.asarray(ids).tolist()
        return self.join(ids[: ids.index(self.end)] if self.end in ids else ids)


@dataclasses.dataclass(frozen=True)
class Subwords(TokeniserFile):
    """A ``tokenizer.json``: byte pairs, WordPiece or unigram pieces by the rules in the file.

    The file's own marks are added around a text (BERT's ``[CLS]`` and ``[SEP]``), and the end mark
    where they have none. Text that a vocabulary lacks becomes the file's unknown token.

    Attributes:
      end_token: the token that ends a text, such as ``[SEP]`` or ``<|endoftext|>``.
      pad_token: the token that fills a text up, such as ``[PAD]``; where a file has none, the same.
    """

    end_token: str
    pad_token: str

    def __post_init__(self):
        for field in ("end_token", "pad_token"):
            if self._id(field) is None:
                token = getattr(self, field)
                raise UserError(f"{self.path}: has no token {token!r}, which {field} names")

    @property
    def vocabulary(self) -> int:
        """The number of ids, added tokens included."""
        return max(self._file.get_vocab(with_added_tokens=True).values()) + 1

    @functools.cached_property
    def end(self) -> int:
        """The id of ``end_token``."""
        return self._id("end_token")

    @functools.cached_property
    def pad(self) -> int:
        """The id of ``pad_token``."""
        return self._id("pad_token")

    def pieces(self, text: str) -> list[int]:
        """The ids of a text with the marks that the file adds."""
        try:
            return self._file.encode(text).ids
        except Exception as error:  # the class that the library raises
            raise UserError(f"{self.path}: cannot encode {text!r} ({error})") from error

    def join(self, ids: list[int]) -> str:
        """The text of ids, without marks."""
        return self._file.decode(ids, skip_special_tokens=True)

    @functools.cached_property
    def _file(self) -> Any:
        library, content = _library("tokenizers"), _read(self.path)
        try:
            found = library.Tokenizer.from_buffer(content)
        except Exception as error:  # the class that the library raises
            raise UserError(f"{self.path}: is no tokenizer.json ({error})") from error
        found.no_truncation()
        found.no_padding()
        return found

    def _id(self, field: str) -> int | None:
        return self._file.token_to_id(getattr(self, field))


@dataclasses.dataclass(frozen=True)
class SentencePiece(TokeniserFile):
    """A SentencePiece ``.model`` (Kudo & Richardson 2018, 1808.06226), unigram or byte pairs."""

    def __post_init__(self):
        if self.end < 0:
            raise UserError(f"{self.path}: has no end mark; train it with eos_id of 0 or more")

    @property
    def vocabulary(self) -> int:
        """The number of pieces, marks included."""
        return self._file.get_piece_size()

    @property
    def end(self) -> int:
        """The id of the end mark."""
        return self._file.eos_id()

    @property
    def pad(self) -> int:
        """The id of the padding; that of the end mark where a model has none."""
        found = self._file.pad_id()
        return self.end if found < 0 else found

    def pieces(self, text: str) -> list[int]:
        """The ids of a text, without marks."""
        return self._file.encode(text)

    def join(self, ids: list[int]) -> str:
        """The text of ids, without marks."""
        return self._file.decode(ids)

    @functools.cached_property
    def _file(self) -> Any:
        library, content = _library("sentencepiece"), _read(self.path)
        found = library.SentencePieceProcessor()
        try:
            found.LoadFromSerializedProto(content)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{self.path}: is no SentencePiece model ({error})") from error
        return found


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{name} is not installed; pip install 'mmjax[text]'") from error


def _read(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
