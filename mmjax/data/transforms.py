"""From a source's record to the arrays of one example, and from examples to a batch."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.errors import UserError
from mmjax.modalities.base import require_finite


@dataclasses.dataclass(frozen=True)
class Fields:
    """Picks the fields that the modalities name, tokenises text, and checks what comes out.

    A record that holds ``<field>_latents``, encoded beforehand, needs no raw ``<field>``.

    Attributes:
      modalities: by field name; a record may hold more fields.
      codecs: host codecs by field name, such as the tokeniser of ``text``; their masks become
        fields such as ``text_mask``.
      keep: further fields to keep as they are, such as ground truth. A field that is tokenised
        keeps its string beside the ids: that of ``text`` as ``caption``, that of any other as
        ``<field>_caption``.
      latents: shapes of latents by field, where they are known.
    """

    modalities: Mapping[str, Any]
    codecs: Mapping[str, Any]
    keep: tuple[str, ...] = ()
    latents: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """One example. Raises UserError where a field is missing or misshapen."""
        example = {}
        for name, modality in self.modalities.items():
            latents = f"{name}_latents"
            if latents in record:
                self._check_latents(name, record[latents])
                example[latents] = record[latents]
            if name not in record and latents in record:
                continue
            if name not in record:
                raise UserError(f"a record has no field {name!r}; it holds {', '.join(record)}")
            value = record[name]
            if name in self.codecs:
                value, example[f"{name}_mask"] = self.codecs[name].encode(value)
            modality.check(value, f"record field {name!r}")
            example[name] = value
        for name in self.keep:
            if name in self.codecs and name in record:
                example["caption" if name == "text" else f"{name}_caption"] = record[name]
            elif name in record:
                example.setdefault(name, record[name])
        return example

    def _check_latents(self, name: str, found: Any) -> None:
        where, expected = f"record field '{name}_latents'", self.latents.get(name)
        if expected is not None and np.shape(found) != expected:
            raise UserError(
                f"{where}: expected the shape {list(expected)}, got {list(np.shape(found))}"
            )
        require_finite(found, where)


def stack(examples: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Examples with equal fields as one batch; strings become an object array.

    Raises:
      UserError: a field is missing from some examples, or has different shapes.
    """
    batch = {}
    for name, first in examples[0].items():
        if not all(name in example for example in examples):
            raise UserError(f"field {name!r} is in some records and missing from others")
        column = [example[name] for example in examples]
        if isinstance(first, str):
            batch[name] = np.array(column, dtype=object)
            continue
        arrays = [np.asarray(value) for value in column]
        if len({array.shape for array in arrays}) > 1:
            shapes = sorted({str(list(array.shape)) for array in arrays})
            raise UserError(f"field {name!r} has shapes {' and '.join(shapes)} in one batch")
        batch[name] = np.stack(arrays)
    return batch
