"""Reading a moving digit: a classifier of handwritten digits that votes over a clip's frames."""

import functools
from typing import Any

import numpy as np

from mmjax.evaluation.metrics.paths import Paths, follow
from mmjax.evaluation.metrics.tracking import brightness, find_bodies
from mmjax.typing import Float, Int, UInt8

UNREAD = -1

_SIDE = 10  # pixels of a crop
_MARGIN = 1.1  # of the body's longer side that a crop covers
_SIZES = (7, 8, 9, 10, 11, 12)  # pixels of the drawn training digits
_VARIANTS = 6  # drawings of each training digit
_CANVAS = 24
_BLUR, _NOISE = 0.8, 0.06  # largest standard deviations, pixels and share of white
_PENALTY = 5.0


def read_digits(
    video: UInt8[np.ndarray, "B T H W C"], train_pictures: int
) -> Int[np.ndarray, " B"]:
    """The digit that each clip shows, ``UNREAD`` where no body can be followed.

    Args:
      video: clips of one digit.
      train_pictures: how many of scikit-learn's digits, from the first, the classifier may learn
        from; the rest are held out.
    """
    paths = follow(find_bodies(video))
    shown = np.full(len(video), UNREAD)
    if paths.followed.any():
        rows = np.flatnonzero(paths.followed)
        crops = crop(brightness(video), paths)[rows]
        frames = crops.reshape(-1, _SIDE * _SIDE)
        votes = classifier(train_pictures).decision_function(frames)
        shown[rows] = votes.reshape(len(rows), crops.shape[1], -1).sum(axis=1).argmax(axis=1)
    return shown


def crop(light: Float[np.ndarray, "B T H W"], paths: Paths) -> Float[np.ndarray, "B T 10 10"]:
    """The followed body of every frame, centred and in one size, its proportions kept."""
    extent = paths.reach[:, :2] + paths.reach[:, 2:]
    side = np.maximum(extent.max(axis=1), 1) * _MARGIN
    middle = paths.centres + ((paths.reach[:, 2:] - paths.reach[:, :2]) / 2)[:, None]
    steps = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    places = middle[..., None] + side[:, None, None, None] * steps  # [B, T, 2, side]
    across, down = (
        np.maximum(0, 1 - np.abs(places[:, :, axis, :, None] - np.arange(pixels) - 0.5))
        for axis, pixels in ((0, light.shape[3]), (1, light.shape[2]))
    )
    return down @ light @ across.swapaxes(2, 3)


@functools.cache
def classifier(train_pictures: int) -> Any:
    """A support vector machine on crops of drawn training digits, the same at every call."""
    from sklearn.svm import SVC

    pictures, labels = drawings(train_pictures)
    paths = follow(find_bodies(pictures))
    crops = crop(brightness(pictures), paths)[paths.followed, 0]
    machine = SVC(C=_PENALTY, gamma="scale", decision_function_shape="ovr")
    return machine.fit(crops.reshape(len(crops), -1), labels[paths.followed])


def drawings(
    train_pictures: int, seed: int = 0
) -> tuple[UInt8[np.ndarray, "N 1 24 24 1"], Int[np.ndarray, " N"]]:
    """Training digits drawn several times: other sizes, between the pixels, softer, noisier."""
    from scipy import ndimage
    from sklearn.datasets import load_digits

    data = load_digits()
    originals = np.pad(data.images[:train_pictures] / 16, ((0, 0), (1, 1), (1, 1)))
    rng = np.random.default_rng(seed)
    drawn = []
    for original in originals:
        for _ in range(_VARIANTS):
            scale = rng.choice(_SIZES) / 8
            centre = _CANVAS / 2 + rng.uniform(-1, 1, 2)
            offset = (np.array(original.shape) - 1) / 2 - centre / scale
            picture = ndimage.affine_transform(
                original, np.full(2, 1 / scale), offset, (_CANVAS, _CANVAS), order=1
            )
            picture = ndimage.gaussian_filter(picture, rng.uniform(0, _BLUR))
            noise = rng.normal(0, rng.uniform(0, _NOISE), picture.shape)
            drawn.append(np.clip(picture + noise, 0, 1) * 255)
    pictures = np.stack(drawn).astype(np.uint8)[:, None, :, :, None]
    return pictures, np.repeat(data.target[:train_pictures], _VARIANTS)
