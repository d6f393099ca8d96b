"""Examples of several fields as files for people: films with sound, sounds, pictures, words."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax.files import write_text
from mmjax.modalities.audio import Audio
from mmjax.modalities.container import save_clip
from mmjax.modalities.image import Image
from mmjax.modalities.video import Video
from mmjax.typing import UInt8

_ORDER = (Video, Audio, Image)
_GAP, _PAPER = 8, 250  # pixels between the parts of a sheet, and the grey around them


def save_example(
    folder: pathlib.Path,
    stem: str,
    modalities: Mapping[str, Any],
    example: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> list[pathlib.Path]:
    """Writes one example.

    A film gets the first sound as its sound track. Every field that has a file format also gets its
    own file, ``{stem}.wav``, or ``{stem}.{field}.wav`` where a field is not called like its
    modality. ``{stem}.sheet.png`` shows all of them; ``{stem}.json`` says what they are.

    Args:
      folder: made if it is not there.
      stem: beginning of the files' names.
      modalities: by field.
      example: raw values by field, without a batch axis.
      facts: written to the JSON file, with the names of the others.

    Returns:
      The paths: films first, then sounds, pictures, the rest, the sheet and the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = _ordered(modalities, example)
    sound = next((name for name in names if isinstance(modalities[name], Audio)), None)
    paths = []
    for name in names:
        modality, value = modalities[name], example[name]
        if not modality.suffixes:
            continue  # a class or a vector of controls: written on the sheet
        infix = "" if name == modality.name else f".{name}"
        path = folder / f"{stem}{infix}{modality.suffixes[0]}"
        if isinstance(modality, Video) and sound:
            save_clip(str(path), value, modality.fps, example[sound], modalities[sound].rate)
        else:
            modality.save(str(path), value)
        paths.append(path)
    picture = sheet(modalities, example)
    paths.append(folder / f"{stem}.sheet.png")
    Image(*picture.shape).save(str(paths[-1]), picture)
    record = {**facts, "files": [path.name for path in paths]}
    write_text(folder / f"{stem}.json", json.dumps(record, indent=1) + "\n")
    return [*paths, folder / f"{stem}.json"]


def sheet(modalities: Mapping[str, Any], example: Mapping[str, Any]) -> UInt8[np.ndarray, "H W 3"]:
    """The previews of an example's fields, one above the other."""
    views = []
    for name in _ordered(modalities, example):
        value = example[name]  # a class, taken out of a batch of them, is a NumPy scalar
        array = np.asarray(value) if isinstance(value, np.generic) else value
        views.append(modalities[name].preview(array))
    return stack(views)


def stack(pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures one above the other on paper."""
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        margins = ((0, _GAP), (0, width - picture.shape[1]), (0, 0))
        rows.append(np.pad(picture, margins, constant_values=_PAPER))
    return np.concatenate(rows)[:-_GAP]


def side_by_side(pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures one beside the other on paper."""
    return stack([picture.swapaxes(0, 1) for picture in pictures]).swapaxes(0, 1)


def _ordered(modalities: Mapping[str, Any], example: Mapping[str, Any]) -> list[str]:
    def rank(name: str) -> tuple[int, str]:
        kinds = [isinstance(modalities[name], kind) for kind in _ORDER]
        return (kinds.index(True) if any(kinds) else len(kinds)), name

    return sorted(example, key=rank)
