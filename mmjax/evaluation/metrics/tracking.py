"""Where bright bodies are in each frame of a clip, to a fraction of a pixel."""

import dataclasses

import numpy as np

from mmjax.typing import Float, UInt8

SMOOTHING = 0.6  # pixels, standard deviation; against speckle
_INK = 0.3  # of the clip's white; fainter pixels do not belong to a body
_FAINT = 0.1  # of the clip's white; taken off before centroids, so that haze does not pull them
_WHITE = 0.99  # quantile of a clip's pixels that stands for white: the smallest bodies cover 2 %
_DARK = 0.2  # a clip whose white is below this is empty
_SMALLEST = 4.0  # pixels' worth of white that a body must have


@dataclasses.dataclass(frozen=True)
class Bodies:
    """The brightest body of each frame, in pixels; NaN where there is none.

    Attributes:
      centres: ``[B, T, 2]`` centroids x and y.
      boxes: ``[B, T, 4]`` left, top, right and bottom edges.
    """

    centres: Float[np.ndarray, "B T 2"]
    boxes: Float[np.ndarray, "B T 4"]


def brightness(
    video: UInt8[np.ndarray, "B T H W C"], smoothing: float = 0.0
) -> Float[np.ndarray, "B T H W"]:
    """The clips from 0 to 1, where 1 is each clip's own white; all zero where a clip is empty.

    Args:
      video: the clips.
      smoothing: standard deviation in pixels of a Gaussian applied to every frame first.
    """
    from scipy import ndimage

    grey = video.mean(axis=-1, dtype=np.float32) / 255
    grey = ndimage.gaussian_filter(grey, (0, 0, smoothing, smoothing))
    white = np.quantile(grey.reshape(len(grey), -1), _WHITE, axis=1)[:, None, None, None]
    return np.where(white >= _DARK, grey / np.maximum(white, _DARK), 0).astype(np.float32)


def find_bodies(video: UInt8[np.ndarray, "B T H W C"]) -> Bodies:
    """The brightest connected body of each frame.

    Pixels belong together when they touch or are one pixel apart: faint strokes part digits.
    """
    clips = brightness(video, SMOOTHING)
    batch, frames, height, width = clips.shape
    light = clips.reshape(-1, height, width)
    ink = light >= _INK
    weights = np.minimum(np.maximum(light - _FAINT, 0), 1)
    inside = _heaviest(ink, weights)

    weights = np.where(inside, weights, 0)
    mass = weights.sum(axis=(1, 2))
    seen = mass >= _SMALLEST
    mass = np.where(seen, mass, np.nan)[:, None]
    across, down = weights.sum(axis=1), weights.sum(axis=2)  # [N, W], [N, H]
    centres = np.concatenate(
        [across @ _middles(width) / mass, down @ _middles(height) / mass], axis=1
    )
    columns, rows = (ink & inside).any(axis=1), (ink & inside).any(axis=2)
    boxes = np.stack([*_ends(columns), *_ends(rows)], axis=1)[:, [0, 2, 1, 3]]
    boxes = np.where(seen[:, None], boxes, np.nan)
    return Bodies(centres.reshape(batch, frames, 2), boxes.reshape(batch, frames, 4))


def _heaviest(ink: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The pixels in and next to the heaviest connected body of each picture, bool ``[N, H, W]``."""
    from scipy import ndimage

    near = np.zeros((3, 3, 3), bool)
    near[1] = True  # neighbours in the picture, never in the next one
    labels, number = ndimage.label(ndimage.binary_dilation(ink, near), near)
    picture = np.nonzero(labels)[0]
    body = labels[labels > 0]
    mass = np.bincount(body, weights[labels > 0], number + 1)
    owner = np.zeros(number + 1, int)
    owner[body] = picture
    best = np.zeros(len(ink), int)
    ascending = np.argsort(mass[1:], kind="stable") + 1
    best[owner[ascending]] = ascending  # of several written to one picture the last one stays
    return (labels == best[:, None, None]) & (labels > 0)


def _middles(pixels: int) -> np.ndarray:
    return np.arange(pixels)[:, None] + 0.5


def _ends(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the true stretch of each row of ``line [N, P]`` begins and ends."""
    return line.argmax(axis=1), line.shape[1] - line[:, ::-1].argmax(axis=1)
