"""Parameter trees by path: nested dictionaries seen as ``{"network/block/kernel": leaf}``."""

import dataclasses
import re
from collections.abc import Mapping
from typing import TypeVar

import jax

from mmjax.typing import Tree

SEPARATOR = "/"
Class = TypeVar("Class", bound=type)


def flatten(tree: Mapping) -> dict[str, Tree]:
    """The leaves of nested dictionaries under their joined paths, in insertion order."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            for path, leaf in flatten(value).items():
                flat[f"{key}{SEPARATOR}{path}"] = leaf
        else:
            flat[str(key)] = value
    return flat


def unflatten(flat: Mapping[str, Tree]) -> dict:
    """The inverse of :func:`flatten`."""
    tree: dict = {}
    for path, leaf in flat.items():
        *parents, name = path.split(SEPARATOR)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


def select(flat: Mapping[str, Tree], pattern: str) -> dict[str, Tree]:
    """The entries whose whole path matches the regular expression ``pattern``."""
    expression = re.compile(pattern)
    return {path: leaf for path, leaf in flat.items() if expression.fullmatch(path)}


def check_pattern(field: str, pattern: str) -> None:
    """Raises ValueError, which names the field, where ``pattern`` is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{field}: {pattern!r} is no regular expression ({error})") from error


def within(path: str, beginning: str) -> bool:
    """Whether ``beginning`` is the whole path or its first parts."""
    return f"{path}{SEPARATOR}".startswith(f"{beginning}{SEPARATOR}")


def renamed(path: str, names: Mapping[str, str]) -> str:
    """``path`` with its beginning replaced by what ``names`` has for it, the longest first."""
    for beginning in sorted(names, key=len, reverse=True):
        if within(path, beginning):
            return names[beginning] + path[len(beginning) :]
    return path


def count(tree: Tree) -> int:
    """The number of scalars in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))


def pytree(cls: Class) -> Class:
    """Registers a frozen dataclass as a pytree; fields with metadata ``static=True`` are constants.

    Unlike ``jax.tree_util.register_dataclass``, putting a node together again goes round its
    constructor. Transformations put shapes, specs and arrays of another rank in place of leaves;
    the constructor's annotations are about the arrays that a program puts there itself.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    static = [f.name for f in dataclasses.fields(cls) if f.metadata.get("static", False)]
    leaves = [name for name in names if name not in static]
    keys = [jax.tree_util.GetAttrKey(name) for name in leaves]

    def flatten(node):
        constants = tuple(getattr(node, name) for name in static)
        return tuple(getattr(node, name) for name in leaves), constants

    def flatten_with_keys(node):
        children, constants = flatten(node)
        return tuple(zip(keys, children, strict=True)), constants

    def unflatten(constants, children):
        node = object.__new__(cls)
        for name, value in zip((*leaves, *static), (*children, *constants), strict=True):
            object.__setattr__(node, name, value)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls
