"""Whether what is heard happens when it is seen."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits, visible_bounces
from mmjax.evaluation.metrics.matching import f1, match
from mmjax.evaluation.metrics.onsets import sound_onsets

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Synchrony:
    """Visible bounces against sound onsets: shares within a window and offsets in milliseconds.

    Clips of one digit are the headline; those of two and three are summed apart, with ``_2`` and
    ``_3`` at the end of each name.

    * ``f1``: harmonic mean of the two shares below;
    * ``bounces_with_sound``: share of visible bounces that have a sound of their own;
    * ``sounds_with_bounce``: share of sounds that have a visible bounce of their own;
    * ``offset_ms``, ``offset_ms_median``: mean and median distance of each bounce to its nearest
      sound, and ``lag_ms`` the median with its sign, positive where sound comes late; absent where
      no clip has both;
    * ``bounces``, ``sounds``: number per clip.

    Attributes:
      fps: frames per second of the video.
      rate: samples per second of the sound.
      frames: the window, in frames either way.
    """

    fps: float
    rate: int
    frames: float = 1.0

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"synchrony/contact-v1/window{self.frames:g}frame"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Counts ``[B]`` and each bounce's offset ``[B, E]`` to its nearest sound in seconds."""
        if "video" not in media or "audio" not in media:
            return {}
        digits = count_digits(truth, len(media["video"]))
        bounces = visible_bounces(media["video"], digits)[..., 0] / self.fps
        onsets = sound_onsets(media["audio"], self.rate)
        matched = np.zeros(len(bounces), int)
        offsets = np.full(bounces.shape, np.nan)
        for row, (seen, heard) in enumerate(zip(bounces, onsets, strict=True)):
            seen, heard = seen[~np.isnan(seen)], heard[~np.isnan(heard)]
            matched[row] = len(match(seen, heard, self.frames / self.fps))
            if len(seen) and len(heard):
                apart = heard - seen[:, None]
                nearest = np.abs(apart).argmin(axis=1)
                offsets[row, : len(seen)] = apart[np.arange(len(seen)), nearest]
        return {
            "digits": digits,
            "matched": matched,
            "bounces": (~np.isnan(bounces)).sum(axis=1),
            "sounds": (~np.isnan(onsets)).sum(axis=1),
            "offsets": offsets,
        }

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above."""
        figures = {}
        for digits in np.unique(features["digits"]) if features else ():
            chosen = {
                name: values[features["digits"] == digits] for name, values in features.items()
            }
            ending = f"_{digits}" if digits > 1 else ""
            figures |= {name + ending: value for name, value in _figures(chosen).items()}
        return figures


def _figures(features: Arrays) -> dict[str, float]:
    matched, bounces, sounds = (
        int(features[name].sum()) for name in ("matched", "bounces", "sounds")
    )
    figures = {
        "f1": f1(matched, bounces, sounds),
        "bounces_with_sound": matched / max(bounces, 1),
        "sounds_with_bounce": matched / max(sounds, 1),
        "bounces": bounces / len(features["matched"]),
        "sounds": sounds / len(features["matched"]),
    }
    offsets = features["offsets"][~np.isnan(features["offsets"])] * 1000
    if len(offsets):
        figures["offset_ms"] = float(np.abs(offsets).mean())
        figures["offset_ms_median"] = float(np.median(np.abs(offsets)))
        figures["lag_ms"] = float(np.median(offsets))
    return figures
