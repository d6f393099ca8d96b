"""The detectors' own score: what they find in a clip against what is known to happen in it."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits, visible_bounces
from mmjax.evaluation.metrics.matching import f1, match
from mmjax.evaluation.metrics.onsets import sound_onsets

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Detectors:
    """Detected bounces and onsets against the true events of the clip, as F1 within a window.

    On real clips ``bounces_f1`` and ``onsets_f1`` are the detectors' own score; where only one of
    picture and sound is real, only its figure is. Several digits are summed apart as in
    :class:`mmjax.evaluation.metrics.synchrony.Synchrony`.

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
        return f"detectors/contact-v1/window{self.frames:g}frame"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Per detector the matched, found and true events of each clip, ``[B, 3]``."""
        if "events" not in truth:
            return {}
        times = np.where(truth["events"][..., 0] >= 0, truth["events"][..., 0], np.nan)
        digits = count_digits(truth, len(times))
        features = {"digits": digits}
        if "video" in media:
            bounces = visible_bounces(media["video"], digits)[..., 0] / self.fps
            features["bounces"] = self._counts(bounces, times)
        if "audio" in media:
            features["onsets"] = self._counts(sound_onsets(media["audio"], self.rate), times)
        return features

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above."""
        figures = {}
        for digits in np.unique(features["digits"]) if features else ():
            ending = f"_{digits}" if digits > 1 else ""
            for name in sorted(set(features) - {"digits"}):
                counts = features[name][features["digits"] == digits].sum(axis=0)
                figures[f"{name}_f1{ending}"] = f1(*map(int, counts))
        return figures

    def _counts(self, found: np.ndarray, true: np.ndarray) -> np.ndarray:
        counts = []
        for some, others in zip(found, true, strict=True):
            some, others = some[~np.isnan(some)], others[~np.isnan(others)]
            pairs = match(some, others, self.frames / self.fps)
            counts.append((len(pairs), len(some), len(others)))
        return np.array(counts)
