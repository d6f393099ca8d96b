"""From a source's record to the arrays of one example."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Fields:
    """Picks the fields that the modalities name, tokenises text, and checks what comes out.

    Attributes:
      modalities: by field name; a record may hold more fields.
      codecs: host codecs by field name, such as the tokeniser of ``text``.
      keep: further fields to keep as they are, such as ground truth; strings stay strings.
    """

    modalities: Mapping[str, Any]
    codecs: Mapping[str, Any]
    keep: tuple[str, ...] = ()

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """One example. Raises UserError where a field is missing or misshapen."""
        example = {}
        for name, modality in self.modalities.items():
            if name not in record:
                raise UserError(f"a record has no field {name!r}; it holds {', '.join(record)}")
            value = record[name]
            if name in self.codecs:
                value, example[f"{name}_mask"] = self.codecs[name].encode(value)
            modality.check(value, f"record field {name!r}")
            example[name] = value
        for name in self.keep:
            if name in record:
                example[_free_name(name, example)] = record[name]
        return example


def _free_name(name: str, example: Mapping[str, Any]) -> str:
    # The caption of a clip whose text is tokenised is kept beside its codes.
    return f"{name}_raw" if name in example else name


def stack(examples: list[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Examples with equal fields as one batch; strings become an object array."""
    batch = {}
    for name, first in examples[0].items():
        column = [example[name] for example in examples]
        if isinstance(first, str):
            batch[name] = np.array(column, dtype=object)
        else:
            batch[name] = np.stack([np.asarray(value) for value in column])
    return batch
