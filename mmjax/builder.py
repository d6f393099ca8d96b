"""Config to objects: a mapping with ``_target_`` becomes a call of the class it names.

Every leaf of a config is a typed argument of some class. A field that its class does not take, or
whose value has another type, is an error that names its path and the nearest valid field.
"""

import dataclasses
import difflib
import importlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from beartype import BeartypeConf
from beartype.door import is_bearable

from mmjax.errors import UserError

TARGET = "_target_"
_NUMERIC_TOWER = BeartypeConf(is_pep484_tower=True)  # an integer is accepted as a float


def resolve(target: str, path: str, *, trusted: bool) -> type:
    """The class that ``"package.module:Class"`` names.

    Untrusted targets (from JSON) must be dataclasses, Linen modules included, defined under
    ``mmjax.``: anything else could be made to run code of an attacker's choice.
    """
    module_name, _, name = target.partition(":")
    if not name or not name.isidentifier():
        raise UserError(f"{path}.{TARGET}: {target!r} is not of the form 'package.module:Class'")
    if not trusted and not module_name.startswith("mmjax."):
        raise UserError(
            f"{path}.{TARGET}: {target!r} is outside mmjax; a saved config may not use it"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(f"{path}.{TARGET}: no module {error.name!r} (from {target!r})") from error
    found = getattr(module, name, None)
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        options = [k for k, v in vars(module).items() if dataclasses.is_dataclass(v)]
        raise UserError(
            f"{path}.{TARGET}: {module_name} has no class {name!r}{nearest(name, options)}"
        )
    if not trusted and not found.__module__.startswith("mmjax."):
        raise UserError(f"{path}.{TARGET}: {target!r} is defined outside mmjax")
    return found


def nearest(name: str, options) -> str:
    """``"; did you mean 'x'?"`` for the closest option, or the list of options, or nothing."""
    options = sorted(options)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; it takes {', '.join(options)}" if options else ""


def build(
    node: Mapping[str, Any],
    path: str,
    *,
    kind: type | None = None,
    injected: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> Any:
    """The object that a config node describes.

    Args:
      node: the mapping; with ``_target_`` it names its own class, otherwise ``kind`` is built.
      path: the node's place in the config, for messages.
      kind: the dataclass expected here.
      injected: objects handed to every class with a field of that name which the config leaves out.
      trusted: see :func:`resolve`.
    """
    if not isinstance(node, Mapping):
        raise UserError(f"{path}: expected fields of {_name(kind)}, got {node!r}")
    values = dict(node)
    target = values.pop(TARGET, None)
    cls = resolve(target, path, trusted=trusted) if target is not None else kind
    if cls is None:
        raise UserError(f"{path}: needs a {TARGET}")
    fields = constructor_fields(cls)
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            message = f"{path}.{key}: {cls.__name__} has no such field"
            raise UserError(message + nearest(key, fields))
    arguments = {
        key: _value(value, hints.get(key, Any), f"{path}.{key}", injected, trusted)
        for key, value in values.items()
    }
    for key, value in (injected or {}).items():
        if key in fields and key not in arguments:
            arguments[key] = value
    for key, field in fields.items():
        if key not in arguments and _required(field):
            raise UserError(f"{path}.{key}: {cls.__name__} needs this field")
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error


def constructor_fields(cls: type) -> dict[str, dataclasses.Field]:
    """The dataclass fields a config may set; Linen's own ``parent`` and ``name`` are not among them."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if "parent" in fields:
        fields = {k: v for k, v in fields.items() if k not in ("parent", "name")}
    return fields


def _value(value, hint, path, injected, trusted):
    if isinstance(value, Mapping):
        return _mapping(value, hint, path, injected, trusted)
    if isinstance(value, (list, tuple)):
        value = _tuple(value, path)
    if _protocol_or_object(hint) or is_bearable(value, hint, conf=_NUMERIC_TOWER):
        return value
    raise UserError(f"{path}: expected {_name(hint)}, got {value!r}")


def _mapping(value, hint, path, injected, trusted):
    options = {"injected": injected, "trusted": trusted}
    if TARGET in value:
        return build(value, path, **options)
    dataclass_hint = next((h for h in _alternatives(hint) if dataclasses.is_dataclass(h)), None)
    if dataclass_hint is not None:
        return build(value, path, kind=dataclass_hint, **options)
    item = Any
    for alternative in _alternatives(hint):
        if typing.get_origin(alternative) in (dict, Mapping) and typing.get_args(alternative):
            item = typing.get_args(alternative)[1]
    built = {key: _value(child, item, f"{path}.{key}", **options) for key, child in value.items()}
    if not any(map(_protocol_or_object, _alternatives(hint))) and not is_bearable(built, hint):
        raise UserError(f"{path}: expected {_name(hint)}, got a mapping")
    return built


def _tuple(values, path):
    """Lists become tuples; a mapping inside one is refused, since a locked config accepts typos there."""
    for index, item in enumerate(values):
        if isinstance(item, Mapping):
            raise UserError(f"{path}[{index}]: a mapping inside a list; use named fields instead")
    return tuple(_tuple(v, path) if isinstance(v, (list, tuple)) else v for v in values)


def _alternatives(hint) -> tuple:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _protocol_or_object(hint) -> bool:
    return any(h is Any or getattr(h, "_is_protocol", False) for h in _alternatives(hint))


def _required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _name(hint) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
