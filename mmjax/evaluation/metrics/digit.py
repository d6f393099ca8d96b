"""Whether the picture shows the digit it should."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits
from mmjax.evaluation.metrics.recognition import UNREAD, read_digits

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class DigitAccuracy:
    """Share of clips in which a classifier of handwritten digits reads the true label.

    Only clips of one digit are judged; a clip without a digit to read counts as wrong. On real
    clips this is the classifier's own accuracy. Figures: ``accuracy`` and ``read``, the share of
    clips that show anything.

    Attributes:
      train_pictures: how many of scikit-learn's digits the classifier learns from; the clips'
        handwritings must come from the others.
    """

    train_pictures: int = 1437

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"digit/svm-v1/train{self.train_pictures}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """The digit read, the true label and whether the clip has one digit, ``[B]`` each."""
        if "video" not in media or "label" not in truth:
            return {}
        return {
            "read": read_digits(media["video"], self.train_pictures),
            "label": np.asarray(truth["label"]),
            "single": count_digits(truth, len(media["video"])) == 1,
        }

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above; none without a clip of one digit."""
        if not features or not features["single"].any():
            return {}
        read, label = (features[name][features["single"]] for name in ("read", "label"))
        return {
            "accuracy": float(np.mean(read == label)),
            "read": float(np.mean(read != UNREAD)),
        }
