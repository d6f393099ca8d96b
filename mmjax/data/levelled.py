"""Sounds at one loudness."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from mmjax.data.bad_records import name_of
from mmjax.errors import UserError
from mmjax.modalities.base import Modality
from mmjax.typing import Float

_SHORTEST = 0.5  # seconds; a shorter sound is measured with silence after it


@dataclasses.dataclass(frozen=True)
class Levelled:
    """A source whose sounds have one loudness (ITU-R BS.1770-4), but no sample beyond 1.

    As for the training of DAC (Kumar et al. 2023, 2306.06546, the authors' configuration): the gain
    is that which the whole sound needs, less where it would clip. Silence, and what the gate of the
    measure takes for it, stays as it is.

    Attributes:
      source: whose records these are.
      modalities: by field; by default those of the config.
      field: that of the sounds.
      loudness: in LUFS.
    """

    source: Any
    modalities: Mapping[str, Modality]
    field: str = "audio"
    loudness: float | int = -16.0

    def __post_init__(self):
        if not hasattr(self.modalities.get(self.field), "rate"):
            raise UserError(f"Levelled: field {self.field!r} is no sound of config.modalities")
        if not -70 < self.loudness < 0:
            raise UserError(f"Levelled: loudness must be from -70 to 0 LUFS, not {self.loudness}")

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        record = self.source[index]
        if self.field not in record:  # latents, or an error that the pipeline names
            return record
        return {**record, self.field: self._level(record[self.field])}

    def name_of(self, index: int) -> str:
        """A record's name within its source."""
        return name_of(self.source, index)

    def _level(self, sound: Float[np.ndarray, "L C"]) -> Float[np.ndarray, "L C"]:
        lack = int(_SHORTEST * self.modalities[self.field].rate) - len(sound)
        whole = np.pad(sound, ((0, max(0, lack)), (0, 0))).astype(np.float64)
        with np.errstate(divide="ignore"):  # silence is at minus infinity
            found = self._meter.integrated_loudness(whole)
        if not np.isfinite(found):
            return sound
        gain = 10.0 ** ((self.loudness - found) / 20.0)
        return sound * np.float32(min(gain, 1.0 / np.abs(sound).max()))

    @functools.cached_property
    def _meter(self) -> Any:
        from pyloudnorm import Meter

        return Meter(self.modalities[self.field].rate)
