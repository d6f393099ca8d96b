"""Several processes on this machine: to try out a mesh of hosts, or one for each accelerator.

    python -m launch.local --processes 2 --cpu-devices 2 --config configs/quickstart.py:fast \
        --workdir runs/two --config.mesh.fsdp=2

SIGTERM and Ctrl-C are passed on; the run saves and ends, and the same command goes on with it.
"""

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

from launch.common import launch, positive, this_program, train_command

_PATIENCE = 120.0  # seconds that the others have after one has failed, to say so and end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this launcher."""
    add = parser.add_argument
    add("--processes", type=positive, required=True, metavar="N", help="how many to start")
    add("--cpu-devices", type=positive, metavar="K",
        help="CPU devices of each process; by default each takes one accelerator")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Starts them and waits; the exit code is that of the first that failed."""
    coordinator = f"127.0.0.1:{_free_port()}"
    jobs = [_job(options, coordinator, process) for process in range(options.processes)]
    if options.dry_run:
        for variables, command in jobs:
            settings = " ".join(f"{name}={value}" for name, value in variables.items())
            print(f"{settings} {shlex.join(command)}")
        return 0
    # In sessions of their own, or Ctrl-C would reach them twice, which is to stop at once.
    running = [
        subprocess.Popen(command, env=os.environ | variables, start_new_session=True)
        for variables, command in jobs
    ]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: [process.terminate() for process in running])
    return _wait(running)


def _job(options, coordinator: str, process: int) -> tuple[dict[str, str], list[str]]:
    """The variables and the command of one process."""
    flags = ["--coordinator", coordinator]
    flags += ["--processes", str(options.processes), "--process", str(process)]
    if options.cpu_devices:
        variables = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(options.cpu_devices)}
    else:
        variables = {"JAX_LOCAL_DEVICE_IDS": str(process)}
    return variables, train_command(options, *flags, program=this_program())


def _wait(running: list[subprocess.Popen]) -> int:
    code, since = 0, None
    while any(process.poll() is None for process in running):
        for number, process in enumerate(running):
            if process.returncode and not code:
                how = process.returncode
                how = f"by {signal.Signals(-how).name}" if how < 0 else f"with exit code {how}"
                print(f"launch.local: process {number} ended {how}", file=sys.stderr)
                code, since = _exit_code(process), time.monotonic()
        if since is not None and time.monotonic() - since > _PATIENCE:
            for process in running:
                process.kill()
        time.sleep(0.1)
    return code or max(_exit_code(process) for process in running)


def _exit_code(process: subprocess.Popen) -> int:
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


if __name__ == "__main__":
    sys.exit(launch("launch.local", __doc__.splitlines()[0], add_arguments, run))
