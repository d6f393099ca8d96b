"""Motion files: what comes back, and what is refused by name."""

import subprocess
import sys

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.modalities.base import MediaError
from mmjax.modalities.motion import Motion

MOTION = Motion(frames=4, features=3)
CLIP = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def test_the_first_frames_come_back(tmp_path):
    path = str(tmp_path / "x.npy")
    np.save(path, CLIP.astype(np.float64))
    found = MOTION.read(path)
    assert found.dtype == np.float32 and np.array_equal(found, CLIP[:4]) and found.flags.writeable
    assert np.array_equal(MOTION.read(path, 0.1), CLIP[2:])
    with pytest.raises(MediaError, match="has 3 frames, fewer than 4"):
        MOTION.read(path, start=0.15)
    MOTION.save(path, found)
    assert np.array_equal(MOTION.read(path), found)
    MOTION.check(found, "here")


def test_positions_and_pictures():
    assert np.allclose(MOTION.positions((2,))[:, 0], [0.05, 0.15])
    picture = MOTION.preview(CLIP[:4] * 0 + np.array([-9.0, 0.0, 9.0]))
    assert picture.shape == (12, 16, 3)
    assert [row[0, 0] for row in picture[::4]] == [0, 128, 255]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (CLIP[:3], "has 3 frames, fewer than 4"),
        (CLIP[:, :2], r"expected \[frames, 3\] numbers, got float32 \[6, 2\]"),
        (CLIP[0], "expected"),
        (CLIP[0, 0], "expected"),
        (CLIP.astype(str), "expected"),
        (np.where(CLIP == CLIP[1, 1], np.nan, CLIP), "not finite"),
        (CLIP * 1e8, r"beyond 1e\+06"),
        (CLIP.astype(object), "is no NumPy array"),
    ],
)
def test_files_that_do_not_fit_are_named(array, reason, tmp_path):
    path = str(tmp_path / "x.npy")
    np.save(path, array, allow_pickle=True)
    with pytest.raises(MediaError, match=rf"x\.npy: .*{reason}"):
        MOTION.read(path)


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(MediaError, match="cannot be read"):
        MOTION.read(str(path))
    np.save(path, CLIP)
    whole = path.read_bytes()
    promising = whole.replace(b"(6, 3)", b"(9999999999, 3)").replace(b" " * 9 + b"\n", b"\n")
    for content in (b"", b"words", whole[:-8], promising, whole[:20]):
        path.write_bytes(content)
        with pytest.raises(MediaError, match=r"x\.npy: is no NumPy array") as caught:
            MOTION.read(str(path))
        assert "\n" not in str(caught.value)


def test_impossible_facts_are_named():
    with pytest.raises(UserError, match="Motion.frames must be positive"):
        Motion(frames=0)


def test_data_workers_need_no_jax():
    code = "import sys, mmjax.modalities.motion, mmjax.data.walks; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
