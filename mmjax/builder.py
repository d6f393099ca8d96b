"""Config to objects: a mapping with ``_target_`` becomes a call of the class it names.

Every leaf of a config is a typed argument of some class. A field that its class does not take, or
whose value has another type, is an error that names its path and the nearest valid field.
"""

import dataclasses
import difflib
import importlib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import typing_extensions
from beartype.door import is_bearable

from mmjax.errors import UserError

TARGET = "_target_"
_FORM = re.compile(r"\w+(\.\w+)*:\w+")
_MISFIT = object()


def resolve(target: Any, path: str, *, trusted: bool) -> type:
    """The class that ``"package.module:Class"`` names.

    Untrusted targets (from JSON) must be dataclasses, Linen modules included, defined under
    ``mmjax.``: anything else could be made to run code of an attacker's choice.
    """
    if not isinstance(target, str) or not _FORM.fullmatch(target):
        raise UserError(f"{path}.{TARGET}: {target!r} is not of the form 'package.module:Class'")
    module_name, _, name = target.partition(":")
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
        options = [key for key, value in vars(module).items() if dataclasses.is_dataclass(value)]
        raise UserError(
            f"{path}.{TARGET}: {module_name} has no class {name!r}{nearest(name, options)}"
        )
    if not trusted and not found.__module__.startswith("mmjax."):
        raise UserError(f"{path}.{TARGET}: {target!r} is defined outside mmjax")
    return found


def nearest(name: str, options: Iterable[str]) -> str:
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
    kind: Any = Any,
    injected: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> Any:
    """The object that a config node describes.

    Args:
      node: nested mappings of plain values (see :func:`mmjax.config.plain`); with ``_target_`` it
        names its own class, otherwise ``kind`` is built.
      path: the node's place in the config, for messages.
      kind: the dataclass or protocol expected here, or a union with one; ``Any`` takes everything.
      injected: objects handed to every class with a field of that name which the config leaves out.
      trusted: see :func:`resolve`.

    Raises:
      UserError: a field is unknown, missing or of another type, or the class refuses its values.
    """
    if not isinstance(node, Mapping):
        raise UserError(f"{path}: expected fields of {_name(kind)}, got {node!r}")
    values = dict(node)
    cls = _class(values, path, kind, trusted)
    fields = constructor_fields(cls)
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            message = f"{path}.{key}: {cls.__name__} has no such field"
            raise UserError(message + nearest(key, fields))
    arguments = {
        key: _value(value, hints[key], f"{path}.{key}", injected=injected, trusted=trusted)
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
    except (TypeError, ValueError, UserError) as error:
        raise UserError(f"{path}: {error}") from error


def constructor_fields(cls: type) -> dict[str, dataclasses.Field]:
    """The dataclass fields a config may set: all but Linen's own ``parent`` and ``name``."""
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    if "parent" in fields:
        fields = {k: v for k, v in fields.items() if k not in ("parent", "name")}
    return fields


def _class(values: dict[str, Any], path: str, kind: Any, trusted: bool) -> type:
    """The class of a node, checked before it is called; takes ``_target_`` out of ``values``."""
    if TARGET in values:
        cls = resolve(values.pop(TARGET), path, trusted=trusted)
        if not any(_is_a(cls, expected) for expected in _alternatives(kind)):
            raise UserError(f"{path}: {cls.__name__} is no {_name(kind)}")
        return cls
    expected = [option for option in _alternatives(kind) if dataclasses.is_dataclass(option)]
    if len(expected) == 1:
        return expected[0]
    if expected or kind is Any or any(map(_is_protocol, _alternatives(kind))):
        raise UserError(f"{path}.{TARGET}: is missing; it names the class to build")
    raise UserError(f"{path}: expected {_name(kind)}, got a group of fields")


def _is_a(cls: type, kind: Any) -> bool:
    if _is_protocol(kind):
        has = set(dir(cls)) | set(constructor_fields(cls))
        return typing_extensions.get_protocol_members(kind) <= has
    return kind is Any or isinstance(kind, type) and issubclass(cls, kind)


def _value(value: Any, hint: Any, path: str, **options: Any) -> Any:
    """A config's value as an argument of the annotated type; ``options`` are those of `build`."""
    if isinstance(value, Mapping):
        item = _item_hint(hint)
        if TARGET in value or item is _MISFIT:
            return build(value, path, kind=hint, **options)
        return {
            key: _value(child, item, f"{path}.{key}", **options) for key, child in value.items()
        }
    fitted = _fit(value, hint)
    if fitted is _MISFIT:
        raise UserError(f"{path}: expected {_name(hint)}, got {value!r}")
    return fitted


def _item_hint(hint: Any) -> Any:
    """The type of a mapping's items where ``hint`` allows a mapping."""
    for alternative in _alternatives(hint):
        if typing.get_origin(alternative) in (dict, Mapping):
            return typing.get_args(alternative)[1]
    return _MISFIT


def _fit(value: Any, hint: Any) -> Any:
    """The value if it is of the annotated type, with integers made floats, else ``_MISFIT``."""
    alternatives = _alternatives(hint)
    if len(alternatives) > 1:
        fitted = [found for h in alternatives if (found := _fit(value, h)) is not _MISFIT]
        exact = [found for found in fitted if type(found) is type(value)]
        return next(iter(exact + fitted), _MISFIT)
    if hint is float and type(value) is int:
        return float(value)
    if hint in (bool, int, float, str):  # by type and not by instance: a bool is no number here
        return value if type(value) is hint else _MISFIT
    if typing.get_origin(hint) is tuple and isinstance(value, tuple):
        return _fit_items(value, typing.get_args(hint))
    if _is_protocol(hint) or not is_bearable(value, hint):
        return _MISFIT
    return value


def _fit_items(values: tuple, hints: tuple) -> Any:
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    if len(hints) != len(values):
        return _MISFIT
    fitted = tuple(map(_fit, values, hints))
    return _MISFIT if any(item is _MISFIT for item in fitted) else fitted


def _alternatives(hint: Any) -> tuple:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _is_protocol(hint: Any) -> bool:
    return isinstance(hint, type) and typing_extensions.is_protocol(hint)


def _required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _name(hint: Any) -> str:
    names = [
        h.__name__ if isinstance(h, type) and not typing.get_args(h) else str(h)
        for h in _alternatives(hint)
    ]
    return " or ".join(names).replace("NoneType", "None").replace("typing.", "")
