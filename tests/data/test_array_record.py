"""ArrayRecord files written from sources and read back."""

import pickle
import resource

import numpy as np
import pytest

from mmjax.data.array_record import ArrayRecords, decode, encode, write
from mmjax.data.bouncing_digits import BouncingDigits
from mmjax.data.pipeline import Pipeline
from mmjax.errors import UserError
from mmjax.modalities.base import MediaError


def equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert type(value) is type(other[name]) or np.ndim(value) == 0
        assert np.array_equal(value, other[name]), name
        if not isinstance(value, str):
            assert np.asarray(value).dtype == other[name].dtype
            assert np.shape(value) == np.shape(other[name])


class Broken:
    """Three records, the middle one unreadable."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise UserError("torn")
        return {"value": np.float32(index), "text": "ü"}


def test_records_survive_encoding():
    record = {
        "video": np.arange(24, dtype=np.uint8).reshape(2, 3, 4).swapaxes(0, 2),
        "audio": np.array([[0.5, -1e-9]], np.float32),
        "label": np.int32(7),
        "flag": np.array(True),
        "half": np.zeros((0, 3), np.float16),
        "text": 'Söckchen "fällt"\n',
    }
    equal(record, decode(encode(record)))
    equal({"text": "alone"}, decode(encode({"text": "alone"})))


def test_nothing_but_arrays_numbers_and_strings_is_stored():
    for value in (object(), np.array([None]), np.array(["a"]), {"a": 1}):
        with pytest.raises(UserError, match="record field 'odd'"):
            encode({"odd": value})


def test_bouncing_digits_written_and_read(tmp_path):
    source = BouncingDigits("test", length=5)
    assert write(source, tmp_path / "set", per_file=2) == []
    names = sorted(p.name for p in (tmp_path / "set").iterdir())
    assert names == ["facts.json", *(f"records-{i:05d}-of-00003.array_record" for i in range(3))]
    found = ArrayRecords(str(tmp_path / "set"))
    assert len(found) == 5
    for index in range(5):
        equal(source[index], found[index])
    assert found.facts == source.facts
    equal(found[4], pickle.loads(pickle.dumps(found))[4])
    one = ArrayRecords(str(tmp_path / "set" / names[2]))
    assert len(one) == 2
    equal(one[0], source[2])
    with pytest.raises(IndexError):
        found[5]


def test_some_records(tmp_path):
    source = BouncingDigits("test", length=9)
    write(source, tmp_path, indices=(7, 2))
    equal(ArrayRecords(str(tmp_path))[0], source[7])


def test_unreadable_records_are_left_out_by_name(tmp_path):
    assert write(Broken(), tmp_path) == [("Broken[1]", "torn")]
    assert [float(r["value"]) for r in (ArrayRecords(str(tmp_path))[i] for i in range(2))] == [0, 2]


def test_damage_is_a_bad_record(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"value": rng.integers(0, 256, 5000, dtype=np.uint8)} for _ in range(40)]
    write(rows, tmp_path)
    path = tmp_path / "records-00000-of-00001.array_record"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(8)
    path.write_bytes(data)
    source = ArrayRecords(str(path))
    pipeline = Pipeline(source, dict, 40, shuffle=False)
    found = pipeline.batch(0)["value"]
    (name,) = pipeline.bad.poll()
    torn = int(name.removeprefix(f"{path}[").removesuffix("]"))
    assert "cannot be decoded" in pipeline.bad.poll()[name]
    for index, row in enumerate(rows):
        assert np.array_equal(row["value"], found[index]) == (index != torn)
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(UserError, match=r"array_record: cannot be opened"):
        ArrayRecords(str(path))


def test_foreign_records_are_refused(tmp_path):
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(tmp_path / "a.array_record"), "group_size:1")
    for data in (b"", b"\x80\x04N.", bytes(100), pickle.dumps({"a": 1})):
        writer.write(data)
    writer.close()
    source = ArrayRecords(str(tmp_path))
    for index in range(4):
        with pytest.raises(MediaError, match=rf"\[{index}\]: cannot be decoded"):
            source[index]


def test_a_full_disk_leaves_nothing(tmp_path):
    rows = [{"value": np.random.default_rng(0).integers(0, 256, 2**20, dtype=np.uint8)}] * 3
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match=r"array_record: cannot be written"):
            write(rows, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_nothing_to_read_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError, match="no .array_record file"):
            ArrayRecords(str(path))
