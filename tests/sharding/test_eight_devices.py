"""Runs the checks of ``tests/sharding/eight`` in processes that see eight CPU devices."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = pathlib.Path(__file__).parent / "eight"
CHECKS = (
    "attention", "checkpoints", "choices", "convolutions", "double", "planning", "rules",
    "transformers", "warm_start",
)  # fmt: skip
LIMIT = 1500  # seconds; on two busy cores the longest takes a third of that
# Not the emitter of tests/conftest.py: what it draws depends in its last bit on the mesh.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """All of them at once, for each compiles on one core most of the time."""
    folder, processes = tmp_path_factory.mktemp("eight"), {}
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": FLAGS}
    for name in CHECKS:
        command = [sys.executable, "-m", "pytest", "-q", str(FOLDER / f"check_{name}.py")]
        with (folder / name).open("w", encoding="utf-8") as output:
            processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
    yield processes, folder
    for process in processes.values():
        process.kill()
        process.wait()


def test_every_check_is_run():
    assert CHECKS == tuple(sorted(x.stem.removeprefix("check_") for x in FOLDER.glob("check_*.py")))


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.parametrize("name", CHECKS)
def test_on_eight_devices(started, name):
    processes, folder = started
    code = processes[name].wait(timeout=LIMIT)
    assert code == 0, (folder / name).read_text(encoding="utf-8")[-8000:]
