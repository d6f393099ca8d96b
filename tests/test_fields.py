"""No flag that only one system uses, and none that nobody uses: the fields of Linen modules.

A field is judged by who sets it away from its default (a field without one is not a flag).

* Once at least ``SETTLED`` configs build a module, each of its fields must be set by two of them:
  what one system alone wants belongs in that system's own model file. With fewer configs a flag
  cannot be told from the first use of a shared one.
* Before that, and for modules inside other modules, a field must be set by something: a config,
  another module, a test. A flag that nothing turns is dead.

How a module computes, rather than what, is a choice of each run and is not judged by configs.
"""

import ast
import dataclasses
import functools
import importlib
import pathlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from mmjax import config as configs
from mmjax.builder import TARGET, constructor_fields
from tests.tiny import FOLDER, NAMES

ROOT = pathlib.Path(__file__).parents[1]
SETTLED = 8
EXECUTION = {"dtype", "higher_order", "remat", "scan_unroll"}


def flags(cls: type) -> dict[str, Any]:
    """The fields that have a default, with it."""
    found = {}
    for name, field in constructor_fields(cls).items():
        if field.default is not dataclasses.MISSING:
            found[name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[name] = field.default_factory()
    return found


def named_in(node: Any):
    """Every class that a config names, with the fields that it sets away from their defaults."""
    if not isinstance(node, Mapping):
        return
    if TARGET in node:
        module, _, name = node[TARGET].partition(":")
        cls = getattr(importlib.import_module(module), name)
        defaults = flags(cls)
        yield cls, {key for key in defaults if key in node and node[key] != defaults[key]}
    for child in node.values():
        yield from named_in(child)


def lonely(by_config: Mapping[str, Any], settled: int) -> list[str]:
    """Fields of modules built by ``settled`` configs that fewer than two of these set."""
    builders, setters = defaultdict(set), defaultdict(set)
    for name, config in by_config.items():
        for cls, fields in named_in(config):
            builders[cls].add(name)
            for field in fields:
                setters[cls, field].add(name)
    return sorted(
        f"{cls.__name__}.{field}: {', '.join(sorted(setters[cls, field])) or 'no config'}"
        for cls, names in builders.items()
        if issubclass(cls, nn.Module) and len(names) >= settled
        for field in set(flags(cls)) - EXECUTION
        if len(setters[cls, field]) < 2
    )


@functools.cache
def modules() -> tuple[type, ...]:
    """Every Linen module defined in the package."""
    found = set()
    for path in (ROOT / "mmjax").rglob("*.py"):
        if "nn.Module" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            members = vars(importlib.import_module(name)).values()
            found |= {m for m in members if isinstance(m, type) and m.__module__ == name}
    return tuple(sorted((m for m in found if issubclass(m, nn.Module)), key=lambda m: m.__name__))


def settings(tree: ast.AST):
    """What calls and dictionaries set: (class name or None, field name)."""
    names = {cls.__name__: tuple(constructor_fields(cls)) for cls in modules()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            callee = node.func.id if isinstance(node.func, ast.Name) else None
            yield from ((callee, field) for field in names.get(callee, ())[: len(node.args)])
            yield from ((None, keyword.arg) for keyword in node.keywords)
        elif isinstance(node, ast.Dict):
            keys = (key.value for key in node.keys if isinstance(key, ast.Constant))
            yield from ((None, key) for key in keys)


def dead(sources: list[str]) -> list[str]:
    """Fields that no call and no dictionary in ``sources`` sets."""
    set_somewhere = {pair for source in sources for pair in settings(ast.parse(source))}
    return sorted(
        f"{cls.__name__}.{field}"
        for cls in modules()
        for field in flags(cls)
        if not set_somewhere & {(None, field), (cls.__name__, field)}
    )


def test_no_field_that_only_one_system_uses():
    found = {name: configs.plain(configs.load(f"{FOLDER}/{name}.py")) for name in NAMES}
    assert lonely(found, SETTLED) == []


def test_no_field_that_nothing_sets():
    paths = [p for folder in ("mmjax", "configs", "tests") for p in (ROOT / folder).rglob("*.py")]
    assert dead([path.read_text(encoding="utf-8") for path in paths]) == []


class Example(nn.Module):
    """A module with a flag of each kind."""

    width: int
    shared: int = 1
    special: tuple[int, ...] = ()
    unused: bool = False
    dtype: str = "float32"


def test_the_check_finds_what_one_config_alone_sets():
    def network(**fields):
        node = {TARGET: f"{__name__}:Example", "width": 3, **fields}
        return {"networks": {"denoiser": node}, "name": "x"}

    by_config = {
        "a": network(shared=2, special=(1,), dtype="bfloat16"),
        "b": network(shared=3),
        "c": network(shared=1, unused=False),
    }
    assert lonely(by_config, 3) == ["Example.special: a", "Example.unused: no config"]
    assert lonely(by_config, 4) == []


def test_the_check_finds_what_nothing_sets():
    every = {f"{cls.__name__}.{field}" for cls in modules() for field in flags(cls)}
    assert every and set(dead([])) == every
    field = next(iter(sorted(every)))
    assert field not in dead([f"f({field.partition('.')[2]}=3)"])
