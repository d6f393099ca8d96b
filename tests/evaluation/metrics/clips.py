"""Simulator-made clips as the judge sees them, shared by the tests of metrics."""

import functools

import numpy as np

from mmjax.data.bouncing_digits import BouncingDigits

FPS, RATE = 12.5, 8000


@functools.cache
def records(split: str, number: int, digits: int = 1) -> tuple[dict, dict]:
    """The media and the truth of ``number`` clips; not to be written to."""
    source = BouncingDigits(split, digits=(digits, digits))
    found = [source[index] for index in range(number)]
    truth = {name: np.stack([record[name] for record in found]) for name in found[0]}
    truth["caption"] = truth.pop("text").astype(object)
    media = {name: truth.pop(name) for name in ("video", "audio")}
    for values in media.values():
        values.setflags(write=False)
    return media, truth


def judge(metric, media: dict, truth: dict) -> dict[str, float]:
    """The figures of a metric whose features come in two batches, as in an evaluation."""
    half = max(len(next(iter(media.values()))) // 2, 1)
    batches = [
        metric.extract(*({k: v[part] for k, v in fields.items()} for fields in (media, truth)))
        for part in (slice(None, half), slice(half, None))
    ]
    assert all(len(v) for batch in batches for v in batch.values())
    return metric.compute({k: np.concatenate([b[k] for b in batches]) for k in batches[0]})


def late(audio: np.ndarray, milliseconds: int) -> np.ndarray:
    """The sound delayed, silence before it."""
    samples = milliseconds * RATE // 1000
    return np.pad(audio, ((0, 0), (samples, 0), (0, 0)))[:, : audio.shape[1]]


def still(media: dict) -> dict:
    """The first frame for the whole clip."""
    return media | {"video": np.repeat(media["video"][:, :1], media["video"].shape[1], axis=1)}


def nothing(media: dict) -> dict:
    """Black and silent clips."""
    return {name: np.zeros_like(values) for name, values in media.items()}


def soft(video: np.ndarray, blur: float = 0.7, noise: float = 15.0) -> np.ndarray:
    """Clips as a model that is not quite sharp might draw them."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter(video.astype(float), (0, 0, blur, blur, 0))
    return np.clip(blurred + rng.normal(0, noise, video.shape), 0, 255).astype(np.uint8)
