"""What the command line gives a model and wants of it."""

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmjax.builder import nearest
from mmjax.errors import UserError
from mmjax.modalities.image import Image
from mmjax.modalities.video import Video
from mmjax.samplers.any_to_any import first_frames
from mmjax.streams import StreamSpec
from mmjax.training.system import System

STILL = "image"  # where no stream has this name, a picture stands for the first frame of a film
Fields = dict[str, np.ndarray]


def pairs(flag: str, assignments: Sequence[str]) -> dict[str, str]:
    """``name=value`` arguments of a flag that may be repeated, as a mapping."""
    found: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name or not value:
            raise UserError(f"{flag} {assignment}: expected {flag} name=value")
        if name in found:
            raise UserError(f"{flag} {assignment}: {name} is there twice")
        found[name] = value
    return found


def read_given(system: System, given: dict[str, str]) -> tuple[dict[str, Fields], dict[str, Any]]:
    """What ``--given`` names, read from files or the command line.

    Returns:
      Batch fields by stream with a leading axis of 1, and the raw values by field, of the streams
      that are given whole.
    """
    fields, raw = {}, {}
    for name, value in given.items():
        spec = system.streams.get(name)
        if spec is not None:
            fields[name], raw[spec.field] = _whole(spec, value)
            continue
        film = _film(system) if name == STILL else None
        if film is None:
            raise UserError(
                f"--given {name}: no stream named {name!r} in this system"
                f"{nearest(name, system.streams)}"
            )
        if film.name in given:
            raise UserError(f"--given {name}: {film.name} is given already")
        fields[film.name] = _first_frame(system, film, value)
    return fields, raw


def read_want(system: System, want: str, whole: Sequence[str]) -> tuple[str, ...]:
    """The streams of ``--want``; by default all that can be generated and are not given whole.

    Given codes that the system generates may be wanted too, and are if nothing else is left: they
    are the beginning of what is generated.
    """
    names = [name.strip() for name in want.split(",")] if want else []
    beginnings = [name for name in whole if _continues(system.streams[name])]
    for name in names:
        if name not in system.streams:
            raise UserError(
                f"--want {name}: no stream named {name!r} in this system"
                f"{nearest(name, system.streams)}"
            )
        if name in whole and name not in beginnings:
            raise UserError(f"--want {name}: it is given already")
    for name, spec in system.streams.items():
        if not want and spec.process.generative and name not in whole:
            names.append(name)
    names = names or beginnings
    if not names:
        raise UserError("--want: everything that this system can generate is given already")
    return tuple(dict.fromkeys(names))


def _whole(spec: StreamSpec, value: str) -> tuple[Fields, Any]:
    """The batch fields of a whole stream and its raw value."""
    modality, flag = spec.modality, f"--given {spec.name}"
    if spec.codec is not None and spec.codec.host:
        text = modality.parse(value, flag)
        try:
            tokens, mask = spec.codec.encode(text)
        except UserError as error:
            raise UserError(f"{flag}: {error}") from error
        return {spec.field: tokens[None], f"{spec.field}_mask": mask[None]}, text
    raw = modality.read(value) if modality.suffixes else modality.parse(_literal(value), flag)
    return {spec.field: raw[None]}, raw


def _continues(spec: StreamSpec) -> bool:
    return spec.process.generative and spec.discrete


def _film(system: System) -> StreamSpec | None:
    """The first stream of moving pictures that can be generated."""
    films = (s for s in system.streams.values() if isinstance(s.modality, Video))
    return next((s for s in films if s.process.generative), None)


def _first_frame(system: System, film: StreamSpec, path: str) -> Fields:
    video = film.modality
    frame = Image(video.height, video.width, video.channels).read(path)
    times = getattr(system.objective, "times", None)
    return first_frames(film, frame[None], getattr(times, "prefix_length", 1))


def _literal(value: str) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
