"""What the builder accepts, what it refuses, and that its refusals say where and what instead."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import flax.linen as nn
import pytest

from mmjax import builder
from mmjax.errors import UserError


class Shape(Protocol):
    """Anything with an area."""

    def area(self) -> float:
        """The area."""


@dataclasses.dataclass(frozen=True)
class Square:
    side: float = 1.0

    def __post_init__(self):
        if self.side < 0:
            raise ValueError("side must not be negative")

    def area(self) -> float:
        return self.side**2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Explosive:
    def __post_init__(self):
        raise AssertionError("built before it was checked")


@dataclasses.dataclass(frozen=True)
class Scene:
    shape: Shape = Square()
    maybe: Shape | None = None
    centre: Point = Point(0)
    points: Mapping[str, Point] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    count: int = 1
    scale: float = 1.0
    either: int | float = 1
    name: str = "scene"
    codec: str | None = None
    visible: bool = True
    sizes: tuple[int, ...] = ()
    span: tuple[float, float] = (0.0, 1.0)
    tags: tuple[str, ...] = ()
    mode: Literal["fast", "slow"] = "fast"
    anything: Any = None
    streams: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Network(nn.Module):
    width: int
    streams: Mapping[str, Any]


def here(name):
    return f"{__name__}:{name}"


def scene(trusted=True, **values):
    return builder.build(values, "config.scene", kind=Scene, trusted=trusted)


def refusal(**values):
    with pytest.raises(UserError) as caught:
        scene(**values)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "target",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "mmjaxevil.models:Net",
        "mmjax:builder",
        "mmjax.config:pathlib",  # a module that mmjax imports
        "mmjax.config:pathlib.Path",
        "mmjax.config:Mapping",  # a class defined elsewhere, and no dataclass
        "mmjax.config:load",  # a function
        "mmjax.builder:Any",
        "mmjax.models.transformer:nn",  # flax.linen itself
        "mmjax.builder:__builtins__",
        "mmjax..os:system",
        "mmjax.errors:UserError",  # a class of ours, but no dataclass
    ],
)
def test_json_may_name_only_the_dataclasses_of_mmjax(target):
    with pytest.raises(UserError, match=r"^config\.scene\._target_: "):
        builder.build({"_target_": target}, "config.scene", trusted=False)


def test_json_may_not_name_a_dataclass_that_mmjax_merely_imports(monkeypatch):
    import mmjax.config

    monkeypatch.setattr(mmjax.config, "Square", Square, raising=False)
    with pytest.raises(UserError, match="defined outside mmjax"):
        builder.build({"_target_": "mmjax.config:Square"}, "config.scene", trusted=False)
    assert builder.build({"_target_": "mmjax.config:Square"}, "config", trusted=True) == Square()


def test_json_is_not_trusted_deeper_down_either():
    node = {"_target_": here("Square")}
    for values in ({"shape": node}, {"points": {"a": node}}, {"anything": node}):
        with pytest.raises(UserError, match="outside mmjax"):
            scene(trusted=False, **values)


def test_json_may_name_a_dataclass_of_mmjax():
    from mmjax.processes.flow import Flow

    node = {"_target_": "mmjax.processes.flow:Flow", "prediction": "clean"}
    assert builder.build(node, "config", trusted=False) == Flow(prediction="clean")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "not of the form"),
        ("Square", "not of the form"),
        (":Square", "not of the form"),
        (".config:Square", "not of the form"),
        ("no_such_module:Square", "no module 'no_such_module'"),
        ("mmjax.no_such_module:Square", "no module 'mmjax.no_such_module'"),
        ("mmjax.processes.flow:Flwo", "has no class 'Flwo'; did you mean 'Flow'?"),
    ],
)
def test_a_target_that_cannot_be_found(target, message):
    with pytest.raises(UserError) as caught:
        builder.build({"_target_": target}, "config.x", trusted=True)
    assert str(caught.value).startswith("config.x._target_: ") and message in str(caught.value)


def test_nested_objects_are_built():
    built = scene(
        shape={"_target_": here("Square"), "side": 2},
        centre={"x": 3},
        points={"a": {"x": 1}, "b": {"_target_": here("Point"), "x": 2, "y": 5}},
        weights={"a": 1, "b": 0.5},
    )
    assert built.shape == Square(2.0) and built.centre == Point(3)
    assert built.points == {"a": Point(1), "b": Point(2, 5)}
    assert built.weights == {"a": 1.0, "b": 0.5} and type(built.weights["a"]) is float


@pytest.mark.parametrize(
    ("values", "path", "instead"),
    [
        ({"cuont": 3}, "config.scene.cuont", "did you mean 'count'?"),
        ({"centre": {"x": 1, "z": 2}}, "config.scene.centre.z", "it takes x, y"),
        ({"points": {"a": {"x": 1, "yy": 2}}}, "config.scene.points.a.yy", "did you mean 'y'?"),
        (
            {"shape": {"_target_": here("Square"), "sid": 2}},
            "config.scene.shape.sid",
            "did you mean 'side'?",
        ),
    ],
)
def test_an_unknown_field_names_its_place_and_the_nearest_one(values, path, instead):
    message = refusal(**values)
    assert message.startswith(f"{path}: ") and instead in message


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("count", 1.0, "expected int, got 1.0"),
        ("count", True, "expected int, got True"),
        ("count", None, "expected int, got None"),
        ("count", "1", "expected int, got '1'"),
        ("scale", True, "expected float, got True"),
        ("scale", "big", "expected float, got 'big'"),
        ("either", True, "expected int or float, got True"),
        ("visible", 1, "expected bool, got 1"),
        ("name", 3, "expected str, got 3"),
        ("codec", 3, "expected str or None, got 3"),
        ("sizes", 3, "expected tuple[int, ...], got 3"),
        ("sizes", (1, 2.5), "expected tuple[int, ...], got (1, 2.5)"),
        ("sizes", (1, True), "expected tuple[int, ...], got (1, True)"),
        ("span", (1.0,), "expected tuple[float, float], got (1.0,)"),
        ("tags", "ab", "expected tuple[str, ...], got 'ab'"),
        ("mode", "medium", "'medium'"),
        ("shape", 3, "expected Shape, got 3"),
        ("shape", None, "expected Shape, got None"),
        ("shape", {"side": 1.0}, "_target_: is missing"),
        ("maybe", 3, "expected Shape or None, got 3"),
        ("anything", {"a": 1}, "_target_: is missing"),
        ("centre", 3, "expected Point, got 3"),
        ("scale", {"a": 1}, "expected float, got a group of fields"),
        ("weights", {"a": "x"}, "weights.a: expected float, got 'x'"),
        ("points", {"a": 3}, "points.a: expected Point, got 3"),
        ("shape", {"_target_": here("Point"), "x": 1}, "Point is no Shape"),
        ("centre", {"_target_": here("Square")}, "Square is no Point"),
        ("shape", {"_target_": here("Square"), "side": -1}, "side must not be negative"),
    ],
)
def test_a_value_of_another_type_is_refused(field, value, expected):
    message = refusal(**{field: value})
    assert message.startswith(f"config.scene.{field}") and expected in message


@pytest.mark.parametrize(
    ("field", "value", "built"),
    [
        ("scale", 2, 2.0),
        ("either", 2, 2),
        ("either", 2.5, 2.5),
        ("span", (0, 2.5), (0.0, 2.5)),
        ("sizes", (1, 2), (1, 2)),
        ("codec", None, None),
        ("codec", "kl", "kl"),
        ("maybe", None, None),
        ("mode", "slow", "slow"),
        ("anything", 3, 3),
    ],
)
def test_a_value_of_the_right_type_is_accepted(field, value, built):
    found = getattr(scene(**{field: value}), field)
    assert found == built and type(found) is type(built)
    if isinstance(built, tuple):
        assert list(map(type, found)) == list(map(type, built))


def test_a_missing_field_is_named():
    assert refusal(centre={"y": 1}) == "config.scene.centre.x: Point needs this field"


def test_a_wrong_kind_is_refused_before_it_is_built():
    assert "Explosive is no Point" in refusal(centre={"_target_": here("Explosive")})


def test_streams_are_handed_to_classes_that_have_the_field_and_to_no_other():
    streams = {"video": object()}
    node = {"_target_": here("Network"), "width": 3}
    built = builder.build(node, "config", injected={"streams": streams}, trusted=True)
    assert dict(built.streams) == streams and built.width == 3
    assert scene(anything=node | {"streams": {}}).anything.streams == {}
    built = builder.build({"x": 1}, "config", kind=Point, injected={"streams": streams})
    assert built == Point(1)


def test_the_fields_of_linen_itself_cannot_be_set():
    node = {"_target_": here("Network"), "width": 3, "streams": {}, "parent": None}
    with pytest.raises(UserError, match=r"config\.parent: Network has no such field"):
        builder.build(node, "config", trusted=True)
