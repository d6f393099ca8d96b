"""The list of configs: sizes by shapes, gates from the report of a test run."""

import pytest

from mmjax.cli.gates import Case, columns, gates_of, read_cases
from mmjax.cli.main import main
from tests.conftest import ROOT

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.test_configs" name="test_builds[image/gan]"/>
<testcase classname="tests.test_configs" name="test_builds[configs/text/gpt.py:tiny]">
  <failure message="AssertionError: 3 is not 4&#10;more">trace</failure></testcase>
<testcase classname="tests.test_configs" name="test_trains[image/gan]">
  <skipped type="pytest.skip" message="needs a GPU"/></testcase>
<testcase classname="tests.parity.test_gan" name="test_generator"/>
<testcase classname="tests.parity.test_transformer" name="test_gpt">
  <skipped type="pytest.skip" message="torch is not installed"/></testcase>
<testcase classname="tests.layers.test_norm" name="test_norm[3]"/>
</testsuite></testsuites>
"""
CONFIGS = ("image/gan", "text/gpt", "vl/clip")


@pytest.fixture
def cases(tmp_path):
    (tmp_path / "tests.xml").write_text(REPORT)
    return read_cases(tmp_path / "tests.xml")


def test_tests_with_a_config_as_parameter_are_gates(cases):
    assert columns(cases, CONFIGS) == ["builds", "trains", "parity"]
    assert Case("tests/layers/test_norm", "norm", "3", "passed") in cases


def test_gates_are_what_the_run_said(cases):
    names = columns(cases, CONFIGS)
    marks = {
        config: {name: (gate.mark, gate.why) for name, gate in found.items()}
        for config, found in (
            ("image/gan", gates_of("image/gan", {"gan"}, names, cases)),
            ("text/gpt", gates_of("text/gpt", {"transformer"}, names, cases)),
            ("vl/clip", gates_of("vl/clip", {"towers"}, names, cases)),
        )
    }
    nothing = ("-", "no such test ran")
    assert marks == {
        "image/gan": {
            "builds": ("passed", ""),
            "trains": ("-", "skipped: needs a GPU"),
            "parity": ("passed", ""),
        },
        "text/gpt": {
            "builds": ("FAILED", "AssertionError: 3 is not 4"),
            "trains": nothing,
            "parity": ("-", "skipped: torch is not installed"),
        },
        "vl/clip": {"builds": nothing, "trains": nothing, "parity": nothing},
    }


CONFIG = """
from ml_collections import ConfigDict
def get_config():
    return ConfigDict({"name": "no sections"})
"""


def test_every_config_is_listed_with_its_size(tmp_path, capsys):
    (tmp_path / "image").mkdir()
    for name in ("image/gan.py", "quickstart.py"):
        (tmp_path / name).write_text((ROOT / "configs" / name).read_text())
    (tmp_path / "broken.py").write_text(CONFIG)
    (tmp_path / "tests.xml").write_text(REPORT)
    flags = ["--configs", str(tmp_path), "--results", str(tmp_path / "tests.xml")]
    assert main(["systems", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[2:5]}
    assert set(rows) == {"image/gan", "quickstart", "broken"}
    assert "6,342,272" in rows["image/gan"] and "passed" in rows["image/gan"]
    assert any("broken: config.objective: a config needs" in line for line in lines)
    assert "image/gan, trains: skipped: needs a GPU" in lines


def test_without_results_every_gate_is_a_dash_and_the_way_to_them_is_said(tmp_path, capsys):
    (tmp_path / "broken.py").write_text(CONFIG)
    assert main(["systems", "--configs", str(tmp_path), "--results", str(tmp_path / "no.xml")]) == 0
    assert "pytest --junitxml=" in capsys.readouterr().out


def test_mistakes(tmp_path, mistake):
    assert "no configs there" in mistake("systems", "--configs", tmp_path)
    (tmp_path / "x.py").write_text(CONFIG)
    (tmp_path / "bad.xml").write_text("<tests")
    line = mistake("systems", "--configs", tmp_path, "--results", tmp_path / "bad.xml")
    assert "bad.xml: is no JUnit XML" in line
