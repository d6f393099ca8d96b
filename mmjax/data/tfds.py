"""Data sets of TensorFlow Datasets, read and built without TensorFlow where they allow it."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from mmjax.data.splits import place
from mmjax.errors import UserError
from mmjax.modalities.base import MediaError, Modality
from mmjax.modalities.text import Text


@dataclasses.dataclass(frozen=True)
class Tfds:
    """The records of a TFDS data set, each field fitted to its modality.

    Sets stored as ArrayRecord are read without TensorFlow; preparing one may need the ``[tf]``
    extra.

    Attributes:
      name: of the set, with config and version if wanted, such as ``"mnist"``.
      split: such as ``"train"`` or ``"train[:90%]"``.
      fields: record field to the set's feature, such as ``{"text": "captions/text"}``; a modality
        that is not listed has a feature of its own name. Of several texts the first is taken.
        Fields that are no modality stay as they are.
      data_dir: where prepared sets lie; None is TFDS's own folder.
      download: whether a set that is not there is fetched and prepared.
      modalities: by field; by default those of the config.
    """

    name: str
    modalities: Mapping[str, Modality]
    split: str = "train"
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data_dir: str | None = None
    download: bool = True

    def __post_init__(self):
        len(self)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        index = place(self, index)
        example, where = self._records[index], self.name_of(index)
        record = {name: _feature(example, path, where) for name, path in self.fields.items()}
        for name, modality in self.modalities.items():
            value = record.get(name)
            if value is None:
                value = _feature(example, name, where)
            if isinstance(modality, Text):
                value = _string(value, where)
            record[name] = modality.parse(value, f"{where}: {name}")
        return record

    def name_of(self, index: int) -> str:
        """The set, the split and the record's number."""
        return f"{self.name}/{self.split}[{index}]"

    @functools.cached_property
    def _records(self):
        import tensorflow_datasets

        try:
            return tensorflow_datasets.data_source(
                self.name, split=self.split, data_dir=self.data_dir, download=self.download
            )
        except ImportError as error:
            raise UserError(
                f"TFDS {self.name}: needs {error.name}; TensorFlow comes with the [tf] extra"
            ) from error
        except Exception as error:  # TFDS raises whatever its many builders do
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(f"TFDS {self.name}: {reason}") from error


def _feature(example: Mapping[str, Any], path: str, where: str) -> Any:
    """A feature by its path, such as ``captions/text``."""
    value = example
    for part in path.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            raise MediaError(f"{where}: no feature {path!r}; it has {', '.join(example)}")
        value = value[part]
    return value


def _string(value: Any, where: str) -> str:
    """Text as TFDS stores it: bytes, or several of them."""
    while isinstance(value, (list, tuple, np.ndarray)) and len(value):
        value = value[0]
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise MediaError(f"{where}: the text is not UTF-8") from error


def build(
    splits: Mapping[str, Any], name: str, data_dir: os.PathLike | str, version: str = "1.0.0"
) -> None:
    """Builds a TFDS data set of ArrayRecord files from sources, without TensorFlow.

    ``tfds.data_source(name, data_dir=data_dir)`` and :class:`Tfds` then read it.

    Args:
      splits: a source per split; their records have the same fields, arrays of one shape each,
        numbers and strings.
      name: of the data set, in lower case with underscores.
      data_dir: where it is put.
      version: of the data set.
    """
    import tensorflow_datasets as tfds

    first = next(iter(splits.values()))[0]
    features = tfds.features.FeaturesDict({k: _declare(tfds, v) for k, v in first.items()})

    with tfds.core.registered.skip_registration():

        class Builder(tfds.core.GeneratorBasedBuilder):
            """The sources as a TFDS builder."""

            VERSION = tfds.core.Version(version)

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, manager):
                del manager
                return {split: self._generate_examples(split) for split in splits}

            def _generate_examples(self, split):
                source = splits[split]
                for index in range(len(source)):
                    yield index, source[index]

    Builder.name = name
    Builder(data_dir=os.fspath(data_dir), file_format="array_record").download_and_prepare()


def _declare(tfds, value: Any):
    if isinstance(value, str):
        return tfds.features.Text()
    array = np.asarray(value)
    return tfds.features.Tensor(shape=array.shape, dtype=array.dtype)
