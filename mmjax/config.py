"""Reading configs: Python files with ``get_config(arg)``, overrides, and the JSON of a workdir."""

import ast
import hashlib
import importlib.util
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from mmjax.builder import nearest
from mmjax.errors import UserError


def load(spec: str, overrides: Iterable[str] = ()) -> ml_collections.ConfigDict:
    """The config of ``"configs/x.py:arg"`` with overrides such as ``"train.steps=100"`` applied."""
    name, _, argument = spec.partition(":")
    path = pathlib.Path(name)
    if not path.is_file():
        raise UserError(f"--config: no file {name!r}; give a path such as configs/quickstart.py")
    module_spec = importlib.util.spec_from_file_location(f"mmjax_config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    try:
        config = module.get_config(argument) if argument else module.get_config()
    except (KeyError, ValueError) as error:
        raise UserError(f"--config {spec}: {error}") from error
    config.lock()
    for override in overrides:
        override_field(config, override)
    return config


def override_field(config: ml_collections.ConfigDict, assignment: str) -> None:
    """Sets one existing field, keeping its type, from ``"a.b=value"``."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"--config.{assignment}: expected --config.field=value")
    *parents, last = path.split(".")
    node = config
    for depth, parent in enumerate(parents):
        node = _child(node, parent, "config." + ".".join(parents[: depth + 1]))
    current = _child(node, last, f"config.{path}", leaf=True)
    value = _parse(text)
    if isinstance(current, str):
        value = text
    if isinstance(current, bool) != isinstance(value, bool) and current is not None:
        raise UserError(f"config.{path}: expected {type(current).__name__}, got {text!r}")
    try:
        node[last] = tuple(value) if isinstance(current, tuple) else value
    except (TypeError, ValueError) as error:
        kind = type(current).__name__
        raise UserError(f"config.{path}: expected {kind}, got {text!r}") from error


def _child(node, name: str, path: str, *, leaf: bool = False):
    if not isinstance(node, ml_collections.ConfigDict) or name not in node:
        options = list(node) if isinstance(node, ml_collections.ConfigDict) else []
        raise UserError(f"{path}: no such field{nearest(name, options)}")
    child = node.get_ref(name).get() if leaf else node[name]
    if leaf and isinstance(child, ml_collections.ConfigDict):
        raise UserError(f"{path}: is a group of fields ({', '.join(child)}); set one of them")
    return child


def _parse(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def plain(config: Mapping | ml_collections.ConfigDict) -> dict:
    """The config as nested dictionaries, tuples and scalars."""
    if isinstance(config, ml_collections.ConfigDict):
        return config.to_dict()
    return {k: plain(v) if isinstance(v, Mapping) else v for k, v in config.items()}


def dumps(config: Mapping | ml_collections.ConfigDict) -> str:
    """Canonical JSON of a config: sorted keys, tuples as lists."""
    return json.dumps(plain(config), sort_keys=True, indent=1)


def loads(text: str, source: str) -> dict:
    """A config from JSON; ``source`` names the file in errors."""
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{source}: not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{source}: expected a JSON object")
    return config


def digest(config: Mapping | ml_collections.ConfigDict) -> str:
    """Twelve hexadecimal digits that name a config."""
    return hashlib.sha256(dumps(config).encode()).hexdigest()[:12]
