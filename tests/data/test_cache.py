"""A cache of latents is its source, encoded, and is not taken for that of another codec."""

import contextlib
import dataclasses
import json
import pickle
import resource

import numpy as np
import pytest

from mmjax.codecs.latents import Latents
from mmjax.data.array_record import ArrayRecords
from mmjax.data.cache import Cached, Encoding, read_manifest
from mmjax.data.cache_writer import CacheWriter
from mmjax.data.pipeline import Pipeline
from mmjax.data.transforms import Fields
from mmjax.errors import UserError
from mmjax.modalities.audio import Audio


@dataclasses.dataclass(frozen=True)
class Tones:
    """Record ``i`` has a sound of value ``i`` over a hundred; some cannot be read."""

    length: int = 22
    bad: tuple[int, ...] = ()

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index in self.bad:
            raise UserError(f"tone {index}: is torn")
        return {
            "audio": np.full((4, 1), index / 100, np.float32),
            "text": f"tone {index}",
            "events": np.arange(index % 3, dtype=np.float32),
        }

    def name_of(self, index):
        return f"tone {index}"


@dataclasses.dataclass(frozen=True)
class Gain:
    """A codec."""

    factor: float = 3.0


@dataclasses.dataclass
class Encoder:
    """Multiplies; can be interrupted; counts."""

    calls: int = 0
    last_call: int = 1000

    def __call__(self, batch):
        self.calls += 1
        if self.calls > self.last_call:
            raise KeyboardInterrupt
        assert batch.keys() == {"audio"} and batch["audio"].shape == (4, 4, 1)
        return {"audio": 3 * batch["audio"]}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A stream, as far as a cache looks at it."""

    field: str = "audio"
    modality: Audio = Audio(samples=4, rate=8000)
    codec: Gain | Latents = Gain()
    features: int = 1

    def shape(self, batch):
        return batch, 4, self.features


SPEC = Spec()


def writer(source=None, encode=None, **options):
    encodings = {"audio": Encoding(SPEC.modality, SPEC.codec, (4, 1))}
    options = {"batch_size": 4, "per_file": 10} | options
    return CacheWriter(source or Tones(), encodings, encode or Encoder(), **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


FILES = [f"latents-{k:05d}-of-00003.array_record" for k in range(3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_records_hold_latents_in_place_of_raw_values(tmp_path, workers):
    seen = []
    assert writer(workers=workers).write(tmp_path, lambda *done: seen.append(done)) == {}
    cached = Cached(str(tmp_path), {"sound": SPEC})
    assert len(cached) == 22
    for index in range(22):
        record, raw = cached[index], Tones()[index]
        assert record.keys() == {"audio_latents", "text", "events"}
        np.testing.assert_array_equal(record["audio_latents"], 3 * raw["audio"])
        assert record["text"] == raw["text"]
        np.testing.assert_array_equal(record["events"], raw["events"])
    assert names(tmp_path) == [*FILES, "manifest.json"]
    assert seen[0] == (4, 22) and seen[-1] == (22, 22) and seen == sorted(seen)
    assert pickle.loads(pickle.dumps(cached))[21]["text"] == "tone 21"
    assert cached.name_of(3) == f"{tmp_path}[3]"
    with pytest.raises(IndexError):
        cached[22]


def test_the_first_records_alone(tmp_path):
    writer(count=7).write(tmp_path)
    assert len(Cached(str(tmp_path))) == len(ArrayRecords(str(tmp_path))) == 7


def test_an_unreadable_record_keeps_its_place(tmp_path):
    bad = writer(Tones(bad=(3, 10, 11, 12, 13))).write(tmp_path)
    assert bad == {f"tone {i}": f"tone {i}: is torn" for i in (3, 10, 11, 12, 13)}
    assert len((tmp_path / "bad_records.jsonl").read_text().splitlines()) == 5
    cached = Cached(str(tmp_path))
    assert [cached[i]["text"] for i in (2, 4, 9, 14)] == ["tone 2", "tone 4", "tone 9", "tone 14"]
    for index in bad:
        with pytest.raises(UserError, match=f"^{index}: is torn$"):
            cached[int(index.split()[1])]


def test_batches_are_those_of_the_source_replacements_included(tmp_path):
    source = Tones(bad=(3, 10, 11))
    writer(source).write(tmp_path)
    raw = Pipeline(source, lambda record: {"audio": record["audio"]}, 5, seed=7)
    latents = Fields({"audio": SPEC.modality}, {})
    cached = Pipeline(Cached(str(tmp_path)), latents, 5, seed=7)
    for step in range(9):
        batch = cached.batch(step)
        assert batch.keys() == {"audio_latents"}
        np.testing.assert_array_equal(batch["audio_latents"], 3 * raw.batch(step)["audio"])
    assert len(cached.bad.poll()) == len(raw.bad.poll()) == 3


def test_a_misshapen_field_is_unreadable(tmp_path):
    encodings = {"audio": Encoding(Audio(samples=5, rate=8000), Gain(), (5, 1))}
    with pytest.raises(
        UserError, match=r"'audio': expected float32 \[5, 1\], got float32 \[4, 1\]"
    ):
        dataclasses.replace(writer(), encodings=encodings).write(tmp_path)


def test_an_interrupted_cache_goes_on_with_whole_files(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    writer().write(whole)
    with pytest.raises(KeyboardInterrupt):
        writer(encode=Encoder(last_call=5)).write(parts)  # 3 calls for the first file
    assert names(parts) == [FILES[0], "manifest.json"]
    with pytest.raises(UserError, match="lacks 2 of 3 files; the same mmjax data cache command"):
        Cached(str(parts))
    (parts / f".{FILES[1][:-13]}.x1.array_record").write_bytes(b"of a process that was killed")
    again = Encoder()
    writer(encode=again).write(parts)
    assert again.calls == 4  # 3 for the second file and 1 for the third
    assert names(parts) == names(whole)
    for name in FILES:
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_another_cache_is_not_mixed_in(tmp_path):
    writer().write(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    for other, difference in [
        (writer(Tones(length=23)), "records is 22 there and 23 here"),
        (writer(per_file=11), "per_file is 10 there and 11 here"),
        (writer(Tones(bad=(1,))), r"source.bad is \[\] there and \[1\] here"),
        (
            dataclasses.replace(
                writer(), encodings={"audio": Encoding(SPEC.modality, Gain(2.0), (4, 1))}
            ),
            "fields.audio.codec.factor is 3.0 there and 2.0 here",
        ),
    ]:
        with pytest.raises(UserError, match=rf"{tmp_path}: holds another cache \({difference}\)"):
            other.write(tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"codec": Gain(4.0)}, "codec.factor is 3.0 there and 4.0 here"),
        ({"codec": None}, r"codec is \{.*Gain.*\} there and None here"),
        ({"modality": Audio(samples=4, rate=4000)}, "modality.rate is 8000 there and 4000 here"),
        ({"features": 2}, r"shape is \[4, 1\] there and \[4, 2\] here"),
        ({"codec": Latents((1,), 2), "features": 2}, r"shape is \[4, 1\] there and \[4, 2\] here"),
    ],
)
def test_a_stale_cache_is_refused(tmp_path, change, difference):
    writer().write(tmp_path)
    spec = dataclasses.replace(SPEC, **change)
    with pytest.raises(UserError, match=rf"another stream than 'sound' \({difference}\); encode"):
        Cached(str(tmp_path), {"sound": spec})
    Cached(str(tmp_path), {"other": dataclasses.replace(spec, field="video")})


def test_declared_latents_may_come_from_any_codec(tmp_path):
    learned = {"audio": Encoding(SPEC.modality, Gain(7.0), (4, 1), Gain(1.0), weights="ab12")}
    dataclasses.replace(writer(), encodings=learned).write(tmp_path)
    assert len(Cached(str(tmp_path), {"sound": Spec(codec=Latents((1,), 1))})) == 22


def test_what_prepared_a_learned_codec_counts_too(tmp_path):
    learned = {"audio": Encoding(SPEC.modality, SPEC.codec, (4, 1), Gain(1.0), weights="ab12")}
    dataclasses.replace(writer(), encodings=learned).write(tmp_path)
    with pytest.raises(UserError, match=r"before is \{.*\} there and None here"):
        Cached(str(tmp_path), {"sound": SPEC})


def test_too_many_unreadable_records_stop_it_and_leave_no_file(tmp_path):
    with pytest.raises(UserError, match="6 of 22 records are bad, more than the share 0.25"):
        writer(Tones(bad=(0, 1, 2, 3, 4, 5)), per_file=100).write(tmp_path)
    assert names(tmp_path) == ["bad_records.jsonl", "manifest.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, r"is no cache \(there is no manifest.json\)"),
        ("{", "manifest.json: is not the manifest of a cache"),
        ('{"records": 3}', "manifest.json: is not the manifest of a cache"),
    ],
)
def test_what_is_no_cache_is_named(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=reason):
        Cached(str(tmp_path))


def test_a_cache_of_a_later_format_is_refused(tmp_path):
    writer().write(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(UserError, match="is of format 2, this version reads 1"):
        read_manifest(tmp_path)


@contextlib.contextmanager
def room_for(size):
    """Lets no file of this process grow past ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path):
    writer(count=1).manifest.claim(tmp_path)
    with room_for(5_000), pytest.raises(UserError, match="cannot be written"):
        writer(count=1).write(tmp_path)
    assert names(tmp_path) == ["manifest.json"]
