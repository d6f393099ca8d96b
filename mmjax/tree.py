"""Parameter trees by path: nested dictionaries seen as ``{"network/block/kernel": leaf}``."""

import re
from collections.abc import Mapping

import jax

from mmjax.typing import Tree

SEPARATOR = "/"


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


def count(tree: Tree) -> int:
    """The number of scalars in a tree of arrays or shapes."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(tree))
