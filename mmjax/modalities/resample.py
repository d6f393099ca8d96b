"""Fitting decoded media to the declared rate, size and number of channels."""

import fractions
from collections.abc import Iterable, Iterator

import numpy as np

from mmjax.typing import Float, UInt8

_TOLERANCE = 0.0015  # seconds; Matroska rounds timestamps to a millisecond
_CENTRE = 0.5**0.5  # of a centre or surround channel in a stereo mix (ITU-R BS.775)
_SURROUND = np.array(  # front left, front right, centre, low frequency, back left, back right
    [[1, 0, _CENTRE, 0, _CENTRE, 0], [0, 1, _CENTRE, 0, 0, _CENTRE]]
) / (1 + 2 * _CENTRE)


def resample_audio(
    audio: Float[np.ndarray, "L C"], rate: int, target: int
) -> Float[np.ndarray, "M C"]:
    """Changes the sample rate with a zero-phase low-pass filter, so that no event moves."""
    if rate == target or not len(audio):
        return audio
    from scipy.signal import resample_poly

    ratio = fractions.Fraction(target, rate)
    resampled = resample_poly(audio, ratio.numerator, ratio.denominator, axis=0)
    return resampled.astype(np.float32, copy=False)


def mix_channels(audio: Float[np.ndarray, "L C"], channels: int) -> Float[np.ndarray, "L D"]:
    """Mixes to ``channels``: mono is copied to all, anything is averaged to mono, 5.1 to stereo.

    Other pairs have no agreed meaning and are a ValueError.
    """
    found = audio.shape[1]
    if found == channels:
        return audio
    if found == 1:
        return np.repeat(audio, channels, axis=1)
    if channels == 1:
        return audio.mean(axis=1, keepdims=True)
    if (found, channels) == (6, 2):
        return (audio @ _SURROUND.T).astype(np.float32)
    raise ValueError(f"{found} channels cannot be mixed to {channels}")


def fit_length(audio: Float[np.ndarray, "L C"], samples: int) -> Float[np.ndarray, "M C"]:
    """Cuts at the end, or adds silence there."""
    missing = max(0, samples - len(audio))
    return np.pad(audio[:samples], ((0, missing), (0, 0)))


def fit_picture(
    picture: UInt8[np.ndarray, "H W 3"], height: int, width: int, channels: int
) -> UInt8[np.ndarray, "I J C"]:
    """Cuts the centre to the target's proportions, then scales it and mixes colour to luma.

    A whole multiple of the target is averaged over blocks, which inverts an enlargement by
    repetition exactly; any other size is filtered with an anti-aliased cubic.
    """
    from PIL import Image

    full_height, full_width = picture.shape[:2]
    scale = min(full_height / height, full_width / width)
    rows, columns = height * scale, width * scale
    left, top = (full_width - columns) / 2, (full_height - rows) / 2
    whole = scale >= 1 and all(float(x).is_integer() for x in (scale, left, top))
    image = Image.fromarray(picture)
    if channels == 1:
        image = image.convert("L")
    if (rows, columns) != (height, width) or (left, top) != (0, 0):
        image = image.resize(
            (width, height),
            Image.Resampling.BOX if whole else Image.Resampling.BICUBIC,
            box=(left, top, left + columns, top + rows),
        )
    return np.array(image).reshape(height, width, channels)


def hold(
    timed: Iterable[tuple[float, object]], start: float | int, fps: float | int, count: int
) -> Iterator[object]:
    """What a screen that shows each item from its time on shows at ``start + k / fps``.

    Takes pairs in the order of time, at any varying rate, and stops reading when ``count`` moments
    have been filled. Before the first item it shows the first; after the last, the last.
    """
    shown = None
    filled = 0
    for time, item in timed:
        while shown is not None and filled < count and start + filled / fps < time - _TOLERANCE:
            yield shown
            filled += 1
        if filled == count:
            return
        shown = item
    if shown is not None:
        for _ in range(filled, count):
            yield shown
