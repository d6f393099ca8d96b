"""Tokeniser files: round trips, the files' own marks, nothing cut short, broken files named."""

import io
import pathlib
import pickle
import sys

import numpy as np
import pytest
import sentencepiece
import tokenizers

from mmjax import config as configs
from mmjax import tree
from mmjax.codecs.tokenisers import SentencePiece, Subwords
from mmjax.errors import UserError
from mmjax.training.batches import make_pipeline
from mmjax.training.restore import abstract_state
from mmjax.training.system import build
from tests.conftest import ROOT

CORPUS = ["a seven bounces three times", "two digits bounce off the wall", "the naïve nine ☃"] * 9
LENGTH = 32


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    """A codec of each kind over a vocabulary trained on a few sentences."""
    folder = tmp_path_factory.mktemp("tokenisers")
    train_byte_pairs(folder / "bpe.json")
    train_word_pieces(folder / "wordpiece.json")
    for name, options in {"unigram": {"pad_id": 3}, "bpe": {"byte_fallback": True}}.items():
        train_sentence_piece(folder / f"{name}.model", name, **options)
    return {
        "byte pairs": Subwords(
            str(folder / "bpe.json"), LENGTH, end_token="<|endoftext|>", pad_token="<|endoftext|>"
        ),
        "word pieces": Subwords(
            str(folder / "wordpiece.json"), LENGTH, end_token="[SEP]", pad_token="[PAD]"
        ),
        "unigram": SentencePiece(str(folder / "unigram.model"), LENGTH),
        "bpe": SentencePiece(str(folder / "bpe.model"), LENGTH),
    }


def train_byte_pairs(path):
    """GPT-2's kind: byte pairs over bytes, and a file that asks to cut texts short."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(CORPUS, trainer)
    made.enable_truncation(3)
    made.enable_padding(length=50)
    made.save(str(path))


def train_word_pieces(path):
    """BERT's kind: lower case, pieces of words, [CLS] before and [SEP] after a text."""
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=90, special_tokens=marks, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(path))


def train_sentence_piece(path, kind, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, model_type=kind, vocab_size=300,
        hard_vocab_limit=False, character_coverage=1.0, minloglevel=2, **options,
    )  # fmt: skip
    path.write_bytes(model.getvalue())


KINDS = ("byte pairs", "word pieces", "unigram", "bpe")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a seven bounces off the wall", "the naïve nine ☃", ""])
def test_text_comes_back(codecs, kind, text):
    codec = codecs[kind]
    ids, mask = codec.encode(text)
    assert ids.shape == mask.shape == (LENGTH,) and ids.dtype == np.int32 and mask.dtype == bool
    assert ids.min() >= 0 and ids.max() < codec.vocabulary
    assert ids[mask][-1] == codec.end and codec.end not in ids[mask][:-1]
    assert (ids[~mask] == codec.pad).all() and not (~mask[: mask.sum()]).any()
    assert codec.decode(ids) == text
    assert codec.decode(ids[mask][:-1]) == text, "a text that was not ended decodes as well"


def test_bytes_hold_any_text_and_words_become_unknown(codecs):
    strange = "漢字 and\ttabs"
    assert codecs["byte pairs"].decode(codecs["byte pairs"].encode(strange)[0]) == strange
    ids, mask = codecs["word pieces"].encode("seven 漢")
    assert ids[mask].tolist()[0] == 2 and ids[mask].tolist()[-2:] == [1, 3]
    # SentencePiece' own normalisation makes a blank of the tab
    assert codecs["bpe"].decode(codecs["bpe"].encode(strange)[0]) == "漢字 and tabs"


def test_ids_are_those_of_the_library(codecs):
    text = "two digits bounce three times"
    for kind in ("byte pairs", "word pieces"):
        library = tokenizers.Tokenizer.from_file(codecs[kind].path)
        library.no_truncation()
        library.no_padding()
        expected = library.encode(text).ids
        ids, mask = codecs[kind].encode(text)
        assert ids[mask].tolist()[: len(expected)] == expected
        assert codecs[kind].vocabulary == library.get_vocab_size()
    library = sentencepiece.SentencePieceProcessor(model_file=codecs["unigram"].path)
    ids, mask = codecs["unigram"].encode(text)
    assert ids[mask].tolist() == library.encode(text, add_eos=True)
    assert codecs["unigram"].pad == 3 and codecs["bpe"].pad == codecs["bpe"].end == 2


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_short(codecs, kind):
    with pytest.raises(UserError, match=r"tokens \(marks included\) is longer than .*length=32"):
        codecs[kind].encode("bounces off " * 40)
    assert codecs[kind].grid((LENGTH,)) == (LENGTH,) and codecs[kind].channels((LENGTH,)) is None
    with pytest.raises(UserError, match="length=32 differs"):
        codecs[kind].grid((LENGTH + 1,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_codec_travels_to_reading_processes(codecs, kind):
    again = pickle.loads(pickle.dumps(codecs[kind]))
    assert again == codecs[kind]
    np.testing.assert_array_equal(again.encode("the wall")[0], codecs[kind].encode("the wall")[0])


def word_pieces(path):
    return Subwords(str(path), 4, end_token="[SEP]", pad_token="[PAD]")


def sentences(path):
    return SentencePiece(str(path), 4)


@pytest.mark.parametrize(("make", "whole"), [(word_pieces, "word pieces"), (sentences, "unigram")])
def test_files_that_cannot_serve_are_named(codecs, tmp_path, make, whole):
    path = tmp_path / "x.file"
    with pytest.raises(UserError, match=r"x\.file: cannot be read \(No such file"):
        make(path)
    content = pathlib.Path(codecs[whole].path).read_bytes()
    for damaged in (b"", b"\xff" * 64, content[: len(content) // 2 + 1]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"x\.file: (is no|has no)") as caught:
            make(path)
        assert "\n" not in str(caught.value)


def test_marks_that_a_file_lacks_are_named(codecs, tmp_path):
    with pytest.raises(UserError, match=r"bpe\.json: has no token '\[SEP\]', which end_token"):
        Subwords(codecs["byte pairs"].path, 4, end_token="[SEP]", pad_token="[PAD]")
    train_sentence_piece(tmp_path / "endless.model", "unigram", eos_id=-1)
    with pytest.raises(UserError, match=r"endless\.model: has no end mark"):
        SentencePiece(str(tmp_path / "endless.model"), 4)


def test_a_missing_library_names_the_extra(codecs, monkeypatch):
    for name, make in (("tokenizers", word_pieces), ("sentencepiece", sentences)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(
            UserError, match=rf"{name} is not installed; pip install 'mmjax\[text\]"
        ):
            make("any")


def test_a_language_model_reads_the_pieces_of_a_file(codecs):
    """The file's vocabulary reaches the network, its ids the batch."""
    codec = codecs["byte pairs"]
    config = configs.load(f"{ROOT}/configs/text/gpt.py:pieces")
    config.codecs.pieces.path = codec.path
    config.streams.text.process.begin = codec.end
    config.networks.denoiser.depth = 1
    config.data.train.root = config.data.evaluation.root = "package:sklearn.datasets.descr"
    system = build(config)
    fields = make_pipeline(system).transform({"text": "the seven"})
    assert system.codecs["pieces"].decode(fields["text"]) == "the seven"
    shapes = tree.flatten(abstract_state(system).params)
    tables = [leaf.shape for path, leaf in shapes.items() if codec.vocabulary in leaf.shape]
    assert sorted(map(sorted, tables)) == [[codec.vocabulary], *[[codec.vocabulary, 768]] * 2]
