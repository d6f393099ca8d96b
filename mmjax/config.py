"""Reading configs: Python files with ``get_config(arg)``, overrides, and the JSON of a workdir."""

import ast
import hashlib
import importlib.util
import inspect
import json
import pathlib
import types
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections
from ml_collections.config_dict import RequiredValueError

from mmjax.builder import nearest
from mmjax.errors import UserError

Config = Mapping[str, Any] | ml_collections.ConfigDict
VALUES = (bool, int, float, str, type(None))
OPTIONAL = ("init", "mesh")  # groups that may be set by field though a config leaves them out


def load(spec: str, overrides: Iterable[str] = ()) -> ml_collections.ConfigDict:
    """The config of ``"configs/x.py:arg"`` with overrides such as ``"train.steps=100"`` applied."""
    name, _, argument = spec.partition(":")
    get_config = getattr(_run_file(pathlib.Path(name)), "get_config", None)
    if get_config is None:
        raise UserError(f"--config {name}: defines no function get_config")
    if argument and not inspect.signature(get_config).parameters:
        raise UserError(f"--config {spec}: {name} takes no argument after the colon")
    try:
        config = get_config(argument) if argument else get_config()
    except (KeyError, ValueError) as error:
        raise UserError(f"--config {spec}: {error}") from error
    for override in overrides:
        override_field(config, override)
    plain(config)
    config.lock()
    return config


def _run_file(path: pathlib.Path) -> types.ModuleType:
    if not path.is_file() or path.suffix != ".py":
        raise UserError(
            f"--config: no Python file {str(path)!r}; give a path such as configs/quickstart.py"
        )
    module_spec = importlib.util.spec_from_file_location(f"mmjax_config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"--config {path}, line {error.lineno}: {error.msg}") from error
    return module


def override_field(config: ml_collections.ConfigDict, assignment: str) -> None:
    """Sets one field from ``"a.b=value"``, keeping its type.

    A field that the config leaves to its class's default is added; the builder then refuses a name
    or a type that the class does not take. A group is replaced whole by a value such as
    ``{'_target_': 'mmjax.data.folder:Folder', 'root': 'clips'}``.
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"--config.{assignment}: expected --config.field=value")
    *parents, last = path.split(".")
    if parents and parents[0] in OPTIONAL and parents[0] not in config:
        with config.unlocked():
            config[parents[0]] = ml_collections.ConfigDict()
    node = config
    for depth, parent in enumerate(parents):
        node = _group(node, parent, "config." + ".".join(parents[: depth + 1]))[parent]
    if isinstance(node, ml_collections.ConfigDict) and parents and last not in node:
        with node.unlocked():
            node[last] = _parse(text)
        return
    kind = _group(node, last, f"config.{path}").get_ref(last).get_type()
    value = text if kind is str else _parse(text)
    if kind is ml_collections.ConfigDict:
        if not isinstance(value, dict):
            fields = ", ".join(node[last])
            raise UserError(f"config.{path}: is a group of fields ({fields}); set one")
        with node.unlocked():
            node[last] = ml_collections.ConfigDict(value)
        return
    message = f"config.{path}: expected {kind.__name__}, got {text!r}"
    if (kind is bool) != isinstance(value, bool) and value is not None:
        raise UserError(message)
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    try:
        node[last] = value
    except (TypeError, ValueError) as error:
        raise UserError(message) from error


def _group(node: Any, name: str, path: str) -> ml_collections.ConfigDict:
    """``node`` itself, checked to be a group of fields with ``name`` among them."""
    if not isinstance(node, ml_collections.ConfigDict) or name not in node:
        options = list(node) if isinstance(node, ml_collections.ConfigDict) else []
        raise UserError(f"{path}: no such field{nearest(name, options)}")
    return node


def _parse(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def plain(config: Config, path: str = "config") -> dict[str, Any]:
    """The config as nested dictionaries, tuples and scalars.

    Raises:
      UserError: a value is something else, or a required one was never given.
    """
    values = {}
    for key in config:
        place = f"{path}.{key}"
        try:
            value = config[key]
        except RequiredValueError as error:
            raise UserError(f"{place}: needs a value; give --{place}=...") from error
        values[key] = plain(value, place) if _is_group(value) else _plain_value(value, place)
    return values


def _plain_value(value: Any, path: str) -> Any:
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if _is_group(item):
                raise UserError(
                    f"{path}[{index}]: a mapping inside a list; use named fields instead"
                )
        return tuple(_plain_value(item, path) for item in value)
    if type(value) not in VALUES:
        raise UserError(
            f"{path}: a config holds numbers, strings, booleans, tuples and groups of these, "
            f"not {type(value).__name__}"
        )
    return value


def _is_group(value: Any) -> bool:
    return isinstance(value, (Mapping, ml_collections.ConfigDict))


def dumps(config: Config) -> str:
    """Canonical JSON of a config: sorted keys, tuples as lists."""
    return json.dumps(plain(config), sort_keys=True, indent=1)


def loads(text: str, source: str) -> dict[str, Any]:
    """A config from JSON; ``source`` names the file in errors."""
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{source}: not valid JSON ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{source}: expected a JSON object")
    return plain(config)


def digest(config: Config) -> str:
    """Twelve hexadecimal digits that name a config."""
    return hashlib.sha256(dumps(config).encode()).hexdigest()[:12]
