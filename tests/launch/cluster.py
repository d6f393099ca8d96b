"""A real SLURM of one node on this machine: munged, slurmctld and slurmd in their own folder."""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "squeue")
NODE = "localhost"


def missing() -> list[str]:
    """What is not installed of it (Debian: slurm-wlm, munge)."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextlib.contextmanager
def slurm(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Starts SLURM; yields the variables with which its commands find it."""
    folder.chmod(0o755)
    variables = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    (folder / "slurm.conf").write_text(_configuration(folder))
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    munge = [f"--{name}-file={folder / 'munge'}.{name}" for name in ("key", "log", "pid", "seed")]
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *munge],
        ["slurmctld", "-D", "-i"],
        ["slurmd", "-D", "-N", NODE],
    ]
    with contextlib.ExitStack() as stack:
        for command in daemons:
            stack.enter_context(_daemon(command, folder, variables))
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists())
        _until(lambda: "idle" in output(["sinfo", "-h", "-o", "%T"], variables))
        try:
            yield variables
        finally:  # nothing of a job outlives its cluster
            output(["scancel", f"--user={getpass.getuser()}"], variables)
            _until(lambda: not output(["squeue", "-h"], variables).strip())


def output(command: list[str], variables: dict[str, str]) -> str:
    """What a command of SLURM prints."""
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def job_state(job: str, variables: dict[str, str]) -> dict[str, str]:
    """The fields that ``scontrol show job`` prints."""
    words = output(["scontrol", "-o", "show", "job", job], variables).split()
    return dict(word.split("=", 1) for word in words if "=" in word)


@contextlib.contextmanager
def _daemon(command: list[str], folder: pathlib.Path, variables: dict[str, str]):
    with (folder / f"{command[0]}.out").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configuration(folder: pathlib.Path) -> str:
    control, node = _free_ports(2)
    user = getpass.getuser()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    return f"""
ClusterName=test
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
KillWait=20
JobRequeue=0
SlurmctldPort={control}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SwitchType=switch/none
NodeName={NODE} NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={node} \\
  CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=main Nodes={NODE} Default=YES MaxTime=INFINITE State=UP
"""


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "SLURM does not start, or does not end"
        time.sleep(0.2)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
