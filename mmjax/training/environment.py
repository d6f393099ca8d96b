"""Where a run was made: versions and the kind of machine, without names of people or places."""

import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
from collections.abc import Sequence
from typing import Any

import jax

from mmjax.files import read_json, write_text

FILE = "environment.json"
_PACKAGES = (
    "mmjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scipy", "av",
)  # fmt: skip


def environment(arguments: Sequence[str]) -> dict[str, Any]:
    """Versions, devices and the command that runs here."""
    devices = jax.devices()
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an image without it, on which the run did not need it
    return {
        "command": command(arguments),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "processes": jax.process_count(),
        "cpu_cores": os.cpu_count(),
        "versions": versions,
    }


def command(arguments: Sequence[str]) -> str:
    """The shell line of ``mmjax`` with these arguments; absolute paths are cut to their names."""
    return shlex.join(["mmjax", *(anonymous(argument) for argument in arguments)])


def anonymous(text: str) -> str:
    """``text`` without the folders of the absolute path that it is, or that follows ``=`` in it."""
    head, equals, tail = text.rpartition("=")
    if not os.path.isabs(tail) and not tail.startswith("~"):
        return text
    return head + equals + os.path.basename(tail.rstrip("/"))


def write_environment(workdir: pathlib.Path, arguments: Sequence[str]) -> None:
    """Notes the environment in the run's folder."""
    write_text(workdir / FILE, json.dumps(environment(arguments), indent=1) + "\n")


def read_environment(workdir: pathlib.Path) -> dict[str, Any]:
    """What was noted, or nothing."""
    path = workdir / FILE
    return read_json(path) if path.is_file() else {}
