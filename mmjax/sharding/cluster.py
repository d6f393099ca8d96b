"""Which processes make up this run: told by flags, or by what a scheduler leaves behind."""

import dataclasses
import re
from collections.abc import Mapping

from mmjax.errors import UserError

ASK = "auto"  # the machine knows: a TPU VM by its metadata server
_TPU_PORT = 8482
_PORTS = 2**12  # above the range from which systems draw ports for outgoing connections


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a run.

    Attributes:
      coordinator: ``HOST:PORT`` at which process 0 listens, or ``auto``.
      processes: how many there are; None where the machine knows.
      process: which of them this one is; None where the machine knows.
    """

    coordinator: str
    processes: int | None
    process: int | None


def find(
    environment: Mapping[str, str],
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
) -> Cluster | None:
    """The cluster of this process, or None where it is a run of its own.

    Flags come first; then a SLURM step of several tasks; then the variables that GKE sets in the
    pods of a TPU slice (``TPU_WORKER_*``) and JobSets of several slices (``MEGASCALE_*``).

    Args:
      environment: variables of this process.
      coordinator: flag of ``mmjax train``, like the next two.
      processes: how many there are.
      process: which one this is.

    Raises:
      UserError: some of the flags are missing or make no sense together.
    """
    given = (coordinator, processes, process)
    if any(value is not None for value in given):
        return _from_flags(*given)
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    hosts = [host for host in environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if host]
    if len(hosts) * int(environment.get("MEGASCALE_NUM_SLICES", 1)) > 1:
        return _from_gke(environment, hosts)
    return None


def first_host(nodes: str) -> str:
    """The first host of a SLURM node list such as ``tpu[003-006,9],login``."""
    match = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\])?([^,\[]*)", nodes)
    if match is None:
        raise UserError(f"SLURM_STEP_NODELIST: {nodes!r} names no host")
    return "".join(part or "" for part in match.groups())


def _from_flags(coordinator: str | None, processes: int | None, process: int | None) -> Cluster:
    if coordinator == ASK and processes is None and process is None:
        return Cluster(ASK, None, None)
    if coordinator is None or processes is None or process is None:
        raise UserError(
            "--coordinator HOST:PORT, --processes N and --process I belong together "
            f"(or --coordinator {ASK} alone, on a TPU VM)"
        )
    if not re.fullmatch(r".+:\d+", coordinator):
        raise UserError(f"--coordinator {coordinator}: expected HOST:PORT")
    if not 0 <= process < processes:
        raise UserError(f"--process {process}: processes count from 0 to {processes - 1}")
    return Cluster(coordinator, processes, process)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    host = first_host(environment["SLURM_STEP_NODELIST"])
    port = 2**16 - _PORTS + int(environment["SLURM_JOB_ID"]) % _PORTS
    processes = int(environment["SLURM_STEP_NUM_TASKS"])
    return Cluster(f"{host}:{port}", processes, int(environment["SLURM_PROCID"]))


def _from_gke(environment: Mapping[str, str], hosts: list[str]) -> Cluster:
    slices = int(environment.get("MEGASCALE_NUM_SLICES", 1))
    place = int(environment.get("MEGASCALE_SLICE_ID", 0))
    first = environment.get("MEGASCALE_COORDINATOR_ADDRESS", "").split(":")[0] or hosts[0]
    return Cluster(
        f"{first}:{_TPU_PORT}",
        slices * len(hosts),
        place * len(hosts) + int(environment["TPU_WORKER_ID"]),
    )
