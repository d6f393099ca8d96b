"""Which part may import which, read from the syntax trees, imports inside functions included."""

import ast
import functools
import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "mmjax"

# part -> the parts that it builds on; what those build on is allowed too.
BELOW = {
    "typing": (),
    "errors": (),
    "rng": ("typing",),
    "tree": ("typing",),
    "streams": ("typing", "tree"),
    "builder": ("errors",),
    "files": ("errors",),
    "config": ("builder", "errors"),
    "presets": (),  # what configs share
    "modalities": (),
    "data": ("modalities",),
    "sharding": (),
    "layers": ("sharding",),
    "codecs": ("layers",),
    "adapters": ("layers",),
    "models": ("codecs", "adapters"),
    "interop": ("models",),
    "processes": (),
    "samplers": ("processes",),
    "objectives": ("samplers",),
    "evaluation": ("modalities", "samplers"),
    "training": ("objectives", "data", "evaluation", "sharding"),
    "planning": ("training",),
}
COMMON = ("typing", "errors", "rng", "tree", "streams", "builder", "files", "config")
LINEN = ("layers", "codecs", "adapters", "models")
HOST = ("modalities", "data")  # NumPy alone when they are imported
FOREIGN = ("torch", "torchaudio", "torchvision", "tensorflow", "diffusers", "transformers")
# Modality and system names that also mean something else: a string, a class index, a limit.
OTHER_MEANINGS = ("text", "label", "shape", "action", "image", "clip")


@functools.cache
def allowed(part):
    if part in COMMON:
        found = set(BELOW[part])
    else:
        found = set(COMMON) | {part} | set(BELOW[part])
    return frozenset(found.union(*(allowed(below) for below in BELOW[part])))


@functools.cache
def syntax(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def files(*parts):
    paths = sorted(PACKAGE.rglob("*.py"))
    return [path for path in paths if not parts or part_of(path) in parts]


def part_of(path):
    first, *rest = path.relative_to(PACKAGE).parts
    return first if rest else first.removesuffix(".py")


def imports(tree):
    """Dotted names that a syntax tree imports; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(tree):
    for name in imports(tree):
        root, *rest = name.split(".")
        if root == "mmjax" and rest:
            yield rest[0]


def at_import(path):
    """The module-level part of a file: no function bodies, nothing for type checkers alone."""
    kept = []
    stack = list(syntax(path).body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            kept.append(node)
        stack.extend(ast.iter_child_nodes(node))
    return ast.Module(kept, [])


def path_of(module):
    """The file of a dotted name under mmjax, or None where the name is not a module."""
    stem = ROOT.joinpath(*module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def loaded_by(path):
    """Every name imported, directly or through mmjax's own modules, when ``path`` is imported."""
    names, seen, stack = set(), set(), [path]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        for name in imports(at_import(current)):
            names.add(name)
            if name.split(".")[0] == "mmjax" and (found := path_of(name)):
                stack.append(found)
    return names


def test_every_part_has_its_place():
    parts = {part_of(path) for path in files()} - {"__init__", "cli"}
    assert parts <= set(BELOW), "say in BELOW what the new part builds on"


@pytest.mark.parametrize("part", sorted(set(BELOW)))
def test_parts_import_only_what_they_build_on(part):
    wrong = {
        f"{path.relative_to(ROOT)} imports mmjax.{found}"
        for path in files(part)
        for found in parts_imported(syntax(path))
        if is_part(found) and found not in allowed(part)
    }
    assert not wrong


def is_part(name):
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_an_import_inside_a_function_counts():
    tree = ast.parse("def f():\n    from mmjax.models import gan\n    import mmjax.cli.main")
    assert set(parts_imported(tree)) == {"models", "cli"}
    assert "models" not in allowed("objectives") and "models" in allowed("interop")
    assert "layers" not in allowed("training") and "samplers" in allowed("training")


def test_linen_stays_in_its_rooms():
    wrong = {
        str(path.relative_to(ROOT))
        for path in files()
        if part_of(path) not in LINEN
        and any(re.match(r"flax(\.|$)", name) for name in imports(syntax(path)))
    }
    assert not wrong


def test_no_other_framework_is_imported():
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files()
        for name in imports(syntax(path))
        if name.split(".")[0] in FOREIGN
    }
    assert not wrong


def test_host_code_imports_without_jax():
    wrong = {
        str(path.relative_to(ROOT))
        for path in files(*HOST)
        if any(name.split(".")[0] in ("jax", "flax") for name in loaded_by(path))
    }
    assert not wrong


def names_of_systems():
    stems = {path.stem for path in (PACKAGE / "models").glob("*.py")}
    stems |= {path.stem for path in (ROOT / "configs").rglob("*.py")}
    from mmjax.modalities.base import Modality

    for path in (PACKAGE / "modalities").glob("*.py"):
        importlib.import_module(f"mmjax.modalities.{path.stem}")
    stems |= {kind.name for kind in Modality.__subclasses__()}
    return stems - {"__init__"}


def words(text):
    return set(re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower().replace("_", " ").split())


def spoken(tree):
    """Words of the identifiers and strings of a file, docstrings apart."""
    names, strings = set(), set()
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg"):
            if isinstance(value := getattr(node, field, None), str):
                names |= words(value)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None  # a docstring
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings |= set(re.findall(r"\w+", node.value.lower()))
    return names, strings


def test_training_names_no_modality_and_no_model():
    systems = names_of_systems()
    assert {"audio", "video", "gan", "transformer"} <= systems
    wrong = []
    for path in files("training"):
        names, strings = spoken(ast.parse(path.read_text(encoding="utf-8")))
        found = (names - set(OTHER_MEANINGS) | strings) & systems
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in found]
    assert not wrong


@pytest.mark.parametrize(("name", "limit"), [("loop", 250), ("step", 120)])
def test_the_loop_and_the_step_stay_short(name, limit):
    text = (PACKAGE / "training" / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < limit
