"""Runs the checks of ``tests/sharding/eight`` in processes that see eight CPU devices."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = pathlib.Path(__file__).parent / "eight"
CHECKS = ("attention", "planning", "rules")
# Programs that run once are compiled without being optimised.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"


def test_every_check_is_run():
    assert CHECKS == tuple(sorted(x.stem.removeprefix("check_") for x in FOLDER.glob("check_*.py")))


@pytest.mark.parametrize("name", CHECKS)
def test_on_eight_devices(name):
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", str(FOLDER / f"check_{name}.py")],
        cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS},
        text=True, capture_output=True, timeout=580, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
