"""The script that ends and spoils runs by the hundred, in small and with the day's moments."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NUMBERS = {"kills": 5, "stops": 5, "damages": 20}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """What the script has written down, with the seed of this day."""
    folder, seed = tmp_path_factory.mktemp("reliability"), datetime.date.today().toordinal()
    print(f"moments and damages drawn with seed {seed}")
    flags = [f"--{name}={number}" for name, number in {**NUMBERS, "seed": seed}.items()]
    command = [sys.executable, "-m", "benchmarks.reliability", *flags, "--work", str(folder)]
    done = subprocess.run(
        [*command, "--out", str(folder / "out.json")],
        cwd=ROOT, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "out.json").read_text())["cases"]


def test_five_kills_leave_the_run_as_it_is_to_the_bit(cases):
    assert len(cases["SIGKILL"]) == NUMBERS["kills"]
    runs = [run["differ"] for run in cases["runs"] if run["kind"] == "SIGKILL"]
    assert runs and not any(runs)


def test_five_requests_to_stop_lose_no_more_than_a_step(cases):
    assert len(cases["SIGTERM"]) == NUMBERS["stops"]
    for case in cases["SIGTERM"]:
        assert case["code"] == 0 and case["lost"] in (0, 1)
    runs = [run["differ"] for run in cases["runs"] if run["kind"] == "SIGTERM"]
    assert runs and not any(runs)


def test_every_damage_is_named_and_the_step_before_used(cases):
    assert len(cases["damages"]) == NUMBERS["damages"]
    assert all(case["named"] and case["step before used"] for case in cases["damages"])
    assert not cases.get("failures")
