"""Config files, overrides that keep a field's type, and the JSON of a workdir."""

import json

import ml_collections
import pytest
from ml_collections.config_dict import placeholder, required_placeholder

from mmjax import config as configs
from mmjax.errors import UserError

FILE = """
import ml_collections
from ml_collections.config_dict import required_placeholder

def get_config(arg="full"):
    if arg not in ("full", "tiny", "data"):
        raise ValueError(f"no variant {arg!r}; there are full, tiny")
    config = ml_collections.ConfigDict({"train": {"steps": 100 if arg == "full" else 2}})
    if arg == "data":
        config.folder = required_placeholder(str)
    return config
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(FILE)
    return path


def example():
    return ml_collections.ConfigDict(
        {
            "name": "some",
            "train": {"steps": 100, "rate": 0.1, "fast": False, "sizes": (1, 2)},
            "codec": placeholder(str),
            "limit": placeholder(int),
        }
    )


def overridden(*assignments):
    config = example()
    for assignment in assignments:
        configs.override_field(config, assignment)
    return configs.plain(config)


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_with_and_without_an_argument(file):
    assert configs.load(str(file)).train.steps == 100
    assert configs.load(f"{file}:tiny").train.steps == 2
    assert configs.load(f"{file}:tiny", ["train.steps=7"]).train.steps == 7


def test_a_loaded_config_takes_no_new_fields(file):
    with pytest.raises(AttributeError):
        configs.load(str(file)).train.stepz = 3


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        (None, "", "no Python file"),
        (FILE, ":huge", "no variant 'huge'; there are full, tiny"),
        (FILE, ":data", "config.folder: needs a value; give --config.folder=..."),
        ("x = 3", "", "defines no function get_config"),
        ("def get_config(): return 3", ":tiny", "takes no argument after the colon"),
        ("def get_config(:", "", "line 1: invalid syntax"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, suffix, message):
    path = tmp_path / "some.py"
    if text is not None:
        path.write_text(text)
    assert message in refusal(configs.load, f"{path}{suffix}")


def test_an_override_gives_a_required_value(file):
    assert configs.load(f"{file}:data", ["folder=here"]).folder == "here"


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("train.steps=7", ("train", "steps"), 7),
        ("train.rate=1e-3", ("train", "rate"), 1e-3),
        ("train.rate=2", ("train", "rate"), 2.0),
        ("train.fast=True", ("train", "fast"), True),
        ("train.fast=true", ("train", "fast"), True),
        ("train.sizes=(3,4,5)", ("train", "sizes"), (3, 4, 5)),
        ("train.sizes=[3]", ("train", "sizes"), (3,)),
        ("name=7", ("name",), "7"),
        ("name=a=b", ("name",), "a=b"),
        ("codec=7", ("codec",), "7"),
        ("limit=7", ("limit",), 7),
        ("limit=None", ("limit",), None),
    ],
)
def test_an_override_keeps_the_type(assignment, path, value):
    found = overridden(assignment)
    for key in path:
        found = found[key]
    assert found == value and type(found) is type(value)


def test_an_override_of_a_field_left_to_its_default_is_added():
    assert (
        overridden("train.keep=7")["train"]["keep"] == 7
    )  # whether there is one, the builder says


def test_a_group_is_replaced_whole():
    assert overridden("train={'root': 'clips', 'inner': {'n': 3}}")["train"] == {
        "root": "clips", "inner": {"n": 3}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("trian.steps=7", "config.trian: no such field; did you mean 'train'?"),
        ("stepz=7", "config.stepz: no such field; it takes codec, limit, name, train"),
        ("trian.steps=7", "config.trian: no such field; did you mean 'train'?"),
        ("train.steps.x=7", "config.train.steps.x: no such field"),
        ("train=7", "config.train: is a group of fields (fast, rate, sizes, steps); set one"),
        ("train.steps=7.5", "config.train.steps: expected int, got '7.5'"),
        ("train.steps=seven", "config.train.steps: expected int, got 'seven'"),
        ("train.steps=True", "config.train.steps: expected int, got 'True'"),
        ("train.rate=True", "config.train.rate: expected float, got 'True'"),
        ("train.fast=1", "config.train.fast: expected bool, got '1'"),
        ("train.sizes=abc", "config.train.sizes: expected tuple, got 'abc'"),
        ("limit=x", "config.limit: expected int, got 'x'"),
        ("limit=True", "config.limit: expected int, got 'True'"),
        ("train.steps", "--config.train.steps: expected --config.field=value"),
    ],
)
def test_an_override_that_is_refused(assignment, message):
    assert refusal(overridden, assignment) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (len, "config.a.b: a config holds numbers, strings, booleans"),
        ((1, len), "config.a.b: a config holds"),
        ([{"c": 1}], "config.a.b[0]: a mapping inside a list; use named fields instead"),
        (((1,), ({"c": 1},)), "config.a.b[0]: a mapping inside a list"),
        ((ml_collections.ConfigDict({"c": 1}),), "config.a.b[0]: a mapping inside a list"),
        (required_placeholder(int), "config.a.b: needs a value; give --config.a.b=..."),
    ],
)
def test_a_config_holds_plain_values_only(value, message):
    config = ml_collections.ConfigDict({"a": {}})
    config.a.b = value
    assert refusal(configs.plain, config).startswith(message)


def test_a_mapping_of_any_kind_becomes_dictionaries_and_tuples():
    mixed = {"a": ml_collections.ConfigDict({"b": [1, [2, 3]]}), "c": {"d": None}}
    assert configs.plain(mixed) == {"a": {"b": (1, (2, 3))}, "c": {"d": None}}


def test_json_keeps_a_config_and_its_digest():
    config = example()
    again = configs.loads(configs.dumps(config), "config.json")
    assert again == configs.plain(config)
    assert configs.digest(again) == configs.digest(config)
    configs.override_field(config, "train.steps=101")
    assert configs.digest(config) != configs.digest(again)


def test_the_digest_does_not_depend_on_the_order_of_fields():
    assert configs.digest({"a": 1, "b": 2}) == configs.digest({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "run/config.json: not valid JSON"),
        ("[1]", "run/config.json: expected a JSON object"),
        (json.dumps({"a": [{"b": 1}]}), "config.a[0]: a mapping inside a list"),
    ],
)
def test_json_that_is_no_config(text, message):
    assert refusal(configs.loads, text, "run/config.json").startswith(message)
