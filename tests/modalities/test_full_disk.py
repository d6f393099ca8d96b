"""A write that the system cuts short is one line, and what was there stays."""

import contextlib
import resource

import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.modalities.audio import Audio
from mmjax.modalities.image import Image
from mmjax.modalities.text import Text
from mmjax.modalities.video import Video


@contextlib.contextmanager
def room_for(size):
    """Lets no file of this process grow past ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("clip.mp4", Video(frames=4, height=24, width=24, fps=10)),
        ("clip.webm", Video(frames=4, height=24, width=24, fps=10)),
        ("sound.wav", Audio(samples=800, rate=8000)),
        ("picture.png", Image(height=40, width=40)),
        ("caption.txt", Text(length=4)),
    ],
)
def test_nothing_is_left_half_written(tmp_path, name, modality):
    rng = np.random.default_rng(0)
    if modality.name == "text":
        data = "word " * 200
    else:
        data = rng.uniform(*modality.value_range, modality.shape).astype(modality.dtype)
    path = tmp_path / name
    path.write_bytes(b"what was there")
    with room_for(500), pytest.raises(UserError, match=rf"{name}: cannot be written \(File too"):
        modality.save(str(path), data)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"what was there"
    modality.save(str(path), data)
    assert path.stat().st_size > 500
