"""One record in a hundred of each kind is corrupt: all are counted and named, no other moves."""

import itertools
import random
import shutil

import numpy as np
import pytest
import soundfile

from mmjax.codecs.words import Bytes
from mmjax.data.array_record import ArrayRecords, encode
from mmjax.data.folder import Folder
from mmjax.data.pipeline import Pipeline
from mmjax.data.transforms import Fields
from mmjax.modalities.audio import Audio
from mmjax.modalities.container import save_clip
from mmjax.modalities.image import Image
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video

COUNT, BATCH = 100, 10
STEPS = 2 * COUNT // BATCH  # two epochs
TEXT = Text(length=16)
FILM = {
    "video": Video(frames=4, height=16, width=16, fps=10.0, channels=3),
    "audio": Audio(samples=3200, rate=8000, channels=1), "text": TEXT,
}  # fmt: skip
SOUND = {"audio": Audio(samples=800, rate=8000, channels=1), "text": TEXT}
PICTURE = {"image": Image(8, 8, 3), "text": TEXT}
NOISE = random.Random(0).randbytes(300)


def pipeline(source, modalities, **options):
    latents = {"audio": (4, 2)} if "audio" in modalities else {}
    fields = Fields(modalities, {"text": Bytes(16)}, keep=("text",), latents=latents)
    return Pipeline(source, fields, BATCH, seed=3, max_bad_share=0.1, **options)


def batches(reader, first=0):
    reading = reader.iterate(first)
    found = list(itertools.islice(reading, STEPS - first))
    reading.close()
    return found


def same(one, other, row):
    return all(np.array_equal(one[name][row], other[name][row]) for name in other)


def assert_only_these_moved(spoiled, whole, modalities, bad, tmp_path):
    """``bad``: number of the record to its id. The rest is as without them, also after a resume."""
    listed = tmp_path / "bad_records.jsonl"
    reader = pipeline(spoiled, modalities, bad_records=listed)
    found, replaced = batches(reader), 0
    for one, other in zip(found, batches(pipeline(whole, modalities)), strict=True):
        for row, caption in enumerate(other["caption"]):
            if int(caption.removeprefix("number ")) in bad:
                assert int(one["caption"][row].removeprefix("number ")) not in bad
                replaced += 1
            else:
                assert same(one, other, row)
    assert replaced == 2 * len(bad)
    assert set(reader.bad.poll()) == set(bad.values())
    assert listed.read_text().count("\n") == len(bad)
    # A run that goes on reads the same, and counts no record twice.
    again = pipeline(spoiled, modalities, bad_records=listed)
    for one, other in zip(batches(again, 7), found[7:], strict=True):
        assert all(same(one, other, row) for row in range(BATCH))
    assert set(again.bad.poll()) == set(bad.values())
    assert listed.read_text().count("\n") == len(bad)


def write_films(folder):
    """The same film a hundred times."""
    rng = np.random.default_rng(0)
    film = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
    sound = 0.1 * rng.normal(size=(3200, 1)).astype(np.float32)
    save_clip(str(folder / "000.mp4"), film, 10.0, sound, 8000)
    for number in range(1, COUNT):
        shutil.copy(folder / "000.mp4", folder / f"{number:03d}.mp4")


def write_sounds(folder):
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        soundfile.write(folder / f"{number:03d}.wav", rng.uniform(-0.5, 0.5, 800), 8000)


def write_pictures(folder):
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        picture = rng.integers(0, 256, (8, 8, 3), np.uint8)
        PICTURE["image"].save(str(folder / f"{number:03d}.png"), picture)


def mute(path):
    save_clip(str(path), np.zeros((4, 16, 16, 3), np.uint8), 10.0)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def spoil_text(path):
    path.with_suffix(".txt").write_bytes(b"\xff\xfe number")


def blank(path):
    path.with_suffix(".txt").write_text(" \n")


MEDIA_DAMAGES = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(NOISE),
    "garbage behind the first bytes": lambda p: p.write_bytes(p.read_bytes()[:16] + NOISE),
    "of another kind": lambda path: path.write_text("<html>not found</html>"),
    "no caption": lambda path: path.with_suffix(".txt").unlink(),
    "a caption that is no text": spoil_text,
    "a blank caption": blank,
}
FOLDERS = {
    "films": (FILM, write_films, MEDIA_DAMAGES | {"without sound": mute}),
    "sounds": (SOUND, write_sounds, MEDIA_DAMAGES),
    "pictures": (PICTURE, write_pictures, MEDIA_DAMAGES),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_in_a_folder(kind, tmp_path):
    modalities, write_media, damages = FOLDERS[kind]
    whole, spoiled = tmp_path / "whole", tmp_path / "spoiled"
    whole.mkdir()
    write_media(whole)
    for number in range(COUNT):
        (whole / f"{number:03d}.txt").write_text(f"number {number}")
    shutil.copytree(whole, spoiled)
    bad = {}
    for number, spoil in zip(range(5, COUNT, 10), damages.values(), strict=False):
        path = next(p for p in spoiled.glob(f"{number:03d}.*") if p.suffix != ".txt")
        spoil(path)
        bad[number] = str(path.with_suffix(""))
    assert len(bad) == len(damages)
    sources = (Folder(str(folder), modalities) for folder in (spoiled, whole))
    assert_only_these_moved(*sources, modalities, bad, tmp_path)


def record(number):
    sound = np.random.default_rng(number).uniform(-0.5, 0.5, (800, 1)).astype(np.float32)
    latents = sound[:8].reshape(4, 2)
    return {"audio": sound, "audio_latents": latents, "text": f"number {number}"}


def without(number, field):
    return {name: value for name, value in record(number).items() if name != field}


RECORD_DAMAGES = {
    "empty": lambda n: b"",
    "garbage": lambda n: NOISE,
    "cut": lambda n: encode(record(n))[:200],
    "another shape": lambda n: encode(record(n) | {"audio": np.zeros((800, 2), np.float32)}),
    "another type": lambda n: encode(record(n) | {"audio": np.zeros((800, 1), np.int16)}),
    "not finite": lambda n: encode(record(n) | {"audio": np.full((800, 1), np.inf, np.float32)}),
    "latents of another shape": lambda n: encode(
        record(n) | {"audio_latents": np.zeros((4, 3), np.float32)}
    ),
    "latents that are not finite": lambda n: encode(
        record(n) | {"audio_latents": np.full((4, 2), np.nan, np.float32)}
    ),
    "no caption": lambda n: encode(without(n, "text")),
}


def write_records(path, records):
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for data in records:
        writer.write(data)
    writer.close()


def test_in_array_records(tmp_path):
    """Records that are wrong as written, and one that the disk has changed afterwards."""
    contents = [encode(record(number)) for number in range(COUNT)]
    write_records(tmp_path / "whole.array_record", contents)
    path, bad = tmp_path / "spoiled.array_record", {}
    for number, spoil in zip(range(5, COUNT, 10), RECORD_DAMAGES.values(), strict=False):
        contents[number] = spoil(number)
        bad[number] = f"{path}[{number}]"
    assert len(bad) == len(RECORD_DAMAGES)
    write_records(path, contents)
    bad[99] = f"{path}[99]"
    data, stored = bytearray(path.read_bytes()), record(99)["audio"].tobytes()[64:80]
    assert data.count(stored) == 1
    data[data.index(stored) + 3] ^= 4
    path.write_bytes(data)
    sources = (ArrayRecords(str(path)), ArrayRecords(str(tmp_path / "whole.array_record")))
    assert_only_these_moved(*sources, SOUND, bad, tmp_path)
