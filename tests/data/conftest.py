"""Films and sound to read."""

import numpy as np
import pytest

from mmjax.modalities.container import save_clip


@pytest.fixture
def film():
    """Writes a film with sound whose brightness tells it from others."""

    def make(path, shade=100, *, size=(24, 32), fps=10.0, rate=8000, frames=12, sound=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        video = np.full((frames, *size, 3), shade, np.uint8)
        wave = 0.3 * np.sin(np.arange(round(frames / fps * rate)) * 0.5)
        audio = wave[:, None].astype(np.float32) if sound else None
        save_clip(str(path), video, fps, audio, rate if sound else None)
        return path

    return make
