"""What every config is held to, and takes too long for each run of the suite.

    python -m tests.full [CONFIG ...]

The suite holds one config for each kind of block to the same, and a tenth of the others each day.
Writes ``tests/full_result.json`` and a table, ``tests/full_result.md``, where the outcomes of other
configs stay as they are; exits 1 if anything failed.
"""

import os

FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import datetime  # noqa: E402
import functools  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402

import jax  # noqa: E402

from mmjax.files import write_text  # noqa: E402
from mmjax.planning.process import plan  # noqa: E402
from tests.sharding.meshes import MESHES, beyond, compared, on_one_device  # noqa: E402
from tests.tiny import FOLDER, NAMES  # noqa: E402

RESULT = pathlib.Path(__file__).with_name("full_result")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one check went for one config: its figures, and what is wrong with them."""

    config: str
    check: str
    figures: dict[str, float | int | str]
    wrong: str = ""
    seconds: float = 0.0
    date: str = ""


def trains_on(mesh: str, name: str) -> Outcome:
    """Whether the mesh trains the tiny form as one device does."""
    figures, compiled = compared(mesh, name)
    wrong = [f"{key} {value:.1e}" for key, value in beyond(figures).items()]
    if compiled != 1:
        wrong.append(f"compiled {compiled} times")
    return Outcome(name, mesh, figures, ", ".join(wrong))


def planned(topology: str, name: str) -> Outcome:
    """Whether the tiny form compiles and fits on TPUs, every stage of it."""
    found = plan({"config": f"{FOLDER}/{name}.py:tiny", "topology": topology})
    steps = [stage["train"] for stage in found["plans"]]
    needed = max(step["memory"]["needed"] for step in steps)
    wrong = "" if all(step["fits"] for step in steps) else "does not fit"
    return Outcome(name, topology, {"needed GiB": needed / 2**30}, wrong)


# Each takes the name of a config; a new one is a new line here.
CHECKS: dict[str, Callable[[str], Outcome]] = {
    **{mesh: functools.partial(trains_on, mesh) for mesh in MESHES},
    "v5e:2x2": functools.partial(planned, "v5e:2x2"),
}


def check(kind: str, name: str) -> Outcome:
    """The outcome of a check, which failed as well if it raised anything."""
    start = time.perf_counter()
    try:
        outcome = CHECKS[kind](name)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        outcome = Outcome(name, kind, {}, f"{type(error).__name__}: {first}"[:300])
    seconds = round(time.perf_counter() - start, 1)
    return dataclasses.replace(outcome, seconds=seconds, date=f"{datetime.date.today()}")


def write(outcomes: Sequence[Outcome]) -> None:
    """Both forms of the result, with the outcomes of other configs as they were."""
    path, done = RESULT.with_suffix(".json"), {outcome.config for outcome in outcomes}
    before = json.loads(path.read_text(encoding="utf-8"))["outcomes"] if path.exists() else []
    kept = [Outcome(**row) for row in before if row["config"] in set(NAMES) - done]
    outcomes = sorted([*kept, *outcomes], key=lambda outcome: outcome.config)
    facts = {"jax": jax.__version__, "python": platform.python_version()}
    facts |= {"machine": f"{os.cpu_count()} CPU cores"}
    rows = [dataclasses.asdict(outcome) for outcome in outcomes]
    write_text(path, json.dumps({**facts, "outcomes": rows}, indent=1) + "\n")
    lines = [
        "# Every config, checked", "",
        f"`python -m tests.full`, {', '.join(f'{k} {v}' for k, v in facts.items())}.", "",
        "Distances are relative, from the same run on one device, the largest of all parameters;",
        "`initial` counts parameters that differ in any bit before the first step. Where rounding",
        "is amplified so that first gradients are further apart than 1e-5, they are compared in",
        "float64, to 1e-9. `other choices` is the share of a quantiser's codes that a mesh would",
        "choose otherwise.",
        "",
        "| config | check | date | figures | outcome |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for outcome in outcomes:
        shown = [f"{key} {_short(value)}" for key, value in outcome.figures.items()]
        state = f"**failed**: {outcome.wrong}" if outcome.wrong else "passed"
        cells = outcome.config, outcome.check, outcome.date, ", ".join(shown), state
        lines.append(f"| {' | '.join(cells)} |")
    write_text(RESULT.with_suffix(".md"), "\n".join(lines) + "\n")


def _short(value: float | int | str) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Runs the checks of some or all configs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="all, by default")
    names = parser.parse_args().configs or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no config {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    outcomes = []
    for number, name in enumerate(names, 1):
        for kind in CHECKS:
            outcomes.append(check(kind, name))
            wrong, seconds = outcomes[-1].wrong, outcomes[-1].seconds
            line = f"[{number}/{len(names)}] {name}: {kind}: {wrong or 'passed'} ({seconds} s)"
            print(line, flush=True)
        on_one_device.cache_clear()
        write(outcomes)
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    print(f"{failed} of {len(outcomes)} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
