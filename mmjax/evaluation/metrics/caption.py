"""Whether the clip does what its caption says."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mmjax.evaluation.metrics.bounces import count_digits, visible_bounces
from mmjax.evaluation.metrics.recognition import read_digits
from mmjax.evaluation.metrics.statement import Statement, understand

Arrays = Mapping[str, np.ndarray]

_UNSAID = np.nan


@dataclasses.dataclass(frozen=True)
class CaptionAgreement:
    """Share of captions that hold: the digit they name is read, their count of bounces is seen.

    Clips of one digit are judged: where several cross each other, counts are not sure enough.

    * ``digit``: among captions that name a digit;
    * ``count``: among captions that count bounces, or hits of one wall; ``count_error`` is the mean
      distance of the number seen from the number said;
    * ``all``: among captions that name a digit, everything that is said.

    Attributes:
      train_pictures: see :class:`mmjax.evaluation.metrics.digit.DigitAccuracy`.
    """

    train_pictures: int = 1437

    @property
    def spec_id(self) -> str:
        """What the figures depend on."""
        return f"caption/contact-v1/train{self.train_pictures}"

    def extract(self, media: Arrays, truth: Arrays) -> dict[str, np.ndarray]:
        """Whether the digit holds (1, 0, NaN unsaid) and seen minus said bounces, ``[B]`` each."""
        if "video" not in media or "caption" not in truth:
            return {}
        video = media["video"]
        statements = [understand(str(caption)) for caption in truth["caption"]]
        digits = count_digits(truth, len(video))
        shown = read_digits(video, self.train_pictures)
        walls = visible_bounces(video, digits)[..., 1]
        pairs = zip(statements, shown.tolist(), strict=True)
        return {
            "single": digits == 1,
            "digit": np.array([_digit_holds(said, digit) for said, digit in pairs]),
            "excess": np.array([_excess(*pair) for pair in zip(statements, walls, strict=True)]),
        }

    def compute(self, features: Arrays) -> dict[str, float]:
        """The figures named above; a figure that no caption is about is absent."""
        if not features:
            return {}
        digit, excess = (features[name][features["single"]] for name in ("digit", "excess"))
        counted, named = ~np.isnan(excess), ~np.isnan(digit)
        figures = {}
        if counted.any():
            figures["count"] = float(np.mean(excess[counted] == 0))
            figures["count_error"] = float(np.abs(excess[counted]).mean())
        if named.any():
            right = ~counted | (excess == 0)
            figures["digit"] = float(digit[named].mean())
            figures["all"] = float(np.mean(digit[named] * right[named]))
        return figures


def _digit_holds(said: Statement, digit: int) -> float:
    return float(said.digits[0] == digit) if len(said.digits) == 1 else _UNSAID


def _excess(said: Statement, walls: np.ndarray) -> float:
    if said.count is None:
        return _UNSAID
    seen = ~np.isnan(walls) if said.wall is None else walls == said.wall
    return float(seen.sum() - said.count)
