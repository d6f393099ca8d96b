"""The state of each config's tests, read from the report of a test run."""

import dataclasses
import pathlib
import re
from collections.abc import Collection, Sequence
from xml.etree import ElementTree

from mmjax.errors import UserError

RESULTS = "results/tests.xml"
PARITY = "parity"
_NAME = re.compile(r"test_(\w+)(?:\[(.*)\])?")
_RAN = ("passed", "failed")


@dataclasses.dataclass(frozen=True)
class Case:
    """One test that was collected: its file, function, parameter, and how it went."""

    file: str
    function: str
    parameter: str
    state: str
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Gate:
    """How one kind of test stands for one config; ``why`` says so where it did not pass."""

    mark: str
    why: str = ""


def read_cases(path: pathlib.Path) -> list[Case]:
    """The tests of a JUnit XML file, as ``pytest --junitxml`` writes it."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: is no JUnit XML ({error})") from error
    cases = []
    for element in root.iter("testcase"):
        match = _NAME.fullmatch(element.get("name", ""))
        if match is None:
            continue
        state, why = "passed", ""
        for tag, outcome in (("skipped", "skipped"), ("failure", "failed"), ("error", "failed")):
            found = element.find(tag)
            if found is not None:
                lines = (found.get("message") or outcome).strip().splitlines()
                state, why = outcome, lines[0] if lines else outcome
        file = element.get("classname", "").replace(".", "/")
        cases.append(Case(file, match[1], match[2] or "", state, why))
    return cases


def columns(cases: Sequence[Case] | None, configs: Collection[str]) -> list[str]:
    """The gates that there are: tests with a config as their parameter, and parity."""
    names = {case.function for case in cases or () if _config_of(case) in configs}
    return [*sorted(names), PARITY]


def gates_of(
    config: str, modules: Collection[str], names: Sequence[str], cases: Sequence[Case] | None
) -> dict[str, Gate]:
    """Each gate of a config such as ``image/gan``.

    Parity is the tests in ``tests/parity`` of the modules that the config names.
    """
    gates = {}
    for name in names:
        if name == PARITY:
            found = [case for case in cases or () if _parity_module(case) in modules]
        else:
            chosen = [case for case in cases or () if case.function == name]
            found = [case for case in chosen if _config_of(case) == config]
        gates[name] = _sum_up(found, cases is not None)
    return gates


def _sum_up(cases: Sequence[Case], have_results: bool) -> Gate:
    """Failed if one failed, passed if one passed, else a dash with the reason."""
    for state, mark in zip(reversed(_RAN), ("FAILED", "passed"), strict=True):
        for case in cases:
            if case.state == state:
                return Gate(mark, case.why if state == "failed" else "")
    if cases:
        return Gate("-", f"skipped: {cases[0].why}")
    return Gate("-", "no such test ran" if have_results else "")


def _config_of(case: Case) -> str:
    """The config that a test's parameter names: ``image/gan``, ``configs/image/gan.py:tiny``."""
    return case.parameter.partition(":")[0].removesuffix(".py").removeprefix("configs/")


def _parity_module(case: Case) -> str | None:
    folder, _, stem = case.file.rpartition("/")
    return stem.removeprefix("test_") if folder.endswith("parity") else None
