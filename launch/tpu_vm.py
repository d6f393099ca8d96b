"""TPU VMs through Cloud TPU's queued resources; every boot of a VM goes on with the run.

    python -m launch.tpu_vm --name my-run --zone us-east5-b --slice v6e:16x16 --spot \
        --repository https://example.com/mmjax.git --nfs 10.0.0.2:/share \
        --config configs/quickstart.py --workdir /runs/quickstart

The workdir is on an NFS share, which all hosts mount at ``/runs``. A spot slice that was taken away
is gone for good: the same command deletes what is left of it, asks for another one, and the run
goes on there. ``--dry-run`` prints the shell script that is run here otherwise.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys

from launch import tpu
from launch.common import launch, positive, train_command
from mmjax.errors import UserError
from mmjax.sharding.peers import LOST

MOUNT = "/runs"
_GCLOUD = ["gcloud", "compute", "tpus", "queued-resources"]

# Runs here.
SUBMIT = """set -euo pipefail
startup=$(mktemp)
trap 'rm -f "$startup"' EXIT
cat > "$startup" <<'END_OF_STARTUP'
{startup}END_OF_STARTUP
state=$({describe} 2>/dev/null || true)
case "$state" in
  "") ;;
  SUSPENDED | FAILED) {delete} ;;
  *) echo "launch.tpu_vm: "{name}" is $state already"; exit 0 ;;
esac
{create} "--metadata-from-file=startup-script=$startup"
echo "launch.tpu_vm: when the run is done: "{delete_text}
"""

# Runs as root on every host, at every boot.
STARTUP = """#!/bin/bash
set -euo pipefail
exec >> /var/log/mmjax.log 2>&1
mkdir -p {mount}
if ! mountpoint -q {mount}; then
  apt-get update -qq && apt-get install -y -qq nfs-common
  mount -t nfs {nfs} {mount}
fi
if [[ ! -x /opt/mmjax/.venv/bin/mmjax ]]; then
  rm -rf /opt/mmjax
  git clone {repository} /opt/mmjax
  git -C /opt/mmjax checkout --quiet {revision}
  python3 -m pip install --quiet uv
  python3 -m uv venv --python 3.11 /opt/mmjax/.venv
  python3 -m uv pip install --python /opt/mmjax/.venv/bin/python '/opt/mmjax[tpu]'
fi
cd /opt/mmjax
for (( start = 0; start <= {restarts}; start++ )); do
  code=0
  {command} || code=$?
  (( code == {again} || code > 128 )) || break
  sleep 10
done
echo "mmjax: ended with exit code $code"
exit "$code"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this launcher."""
    add = parser.add_argument
    add("--name", required=True, help="of the queued resource and its TPU VMs")
    add("--zone", required=True)
    add("--project", help="by default gcloud's own")
    add("--slice", required=True, metavar="KIND:TOPOLOGY", help="such as v5e:16x16")
    add("--slices", type=positive, default=1, metavar="N", help="how many of them")
    add("--spot", action="store_true", help="cheaper, and may be taken away")
    add("--reserved", action="store_true", help="from a reservation")
    add("--repository", required=True, metavar="URL", help="where git finds this code")
    add("--revision", default="main", help="commit, tag or branch of it (default main)")
    add("--nfs", required=True, metavar="SERVER:/SHARE", help=f"mounted at {MOUNT}")
    add("--restarts", type=int, default=20, metavar="R",
        help="on a slice, after failures (default 20)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Asks for the slice, unless it is there."""
    text = script(options)
    if options.dry_run:
        print(text, end="")
        return 0
    return subprocess.run(["bash", "-c", text]).returncode


def script(options: argparse.Namespace) -> str:
    """The shell script that asks for the slice; all arguments in it are quoted."""
    wanted = tpu.parse(options.slice)
    where = [f"--zone={options.zone}"]
    where += [f"--project={options.project}"] if options.project else []
    create = [*_GCLOUD, "create", options.name, *where]
    create += [f"--accelerator-type={wanted.accelerator_type}"]
    create += [f"--runtime-version={wanted.generation.runtime}"]
    if options.slices > 1:
        create += [f"--node-count={options.slices}", f"--node-prefix={options.name}"]
    else:
        create += [f"--node-id={options.name}"]
    create += [f"--{flag}" for flag in ("spot", "reserved") if getattr(options, flag)]
    describe = [*_GCLOUD, "describe", options.name, *where, "--format=value(state.state)"]
    delete = shlex.join([*_GCLOUD, "delete", options.name, *where, "--force", "--quiet"])
    return SUBMIT.format(
        startup=startup(options), describe=shlex.join(describe), delete=delete,
        delete_text=shlex.quote(delete), create=shlex.join(create), name=shlex.quote(options.name),
    )  # fmt: skip


def startup(options: argparse.Namespace) -> str:
    """What every host does when it boots."""
    if not pathlib.PurePosixPath(options.workdir).is_relative_to(MOUNT):
        raise UserError(
            f"--workdir {options.workdir}: all hosts share {MOUNT}; take a folder in it"
        )
    flags = ("--coordinator", "auto", "--stopped-code", str(LOST))
    command = train_command(options, *flags, program=["/opt/mmjax/.venv/bin/mmjax"])
    return STARTUP.format(
        mount=MOUNT, nfs=shlex.quote(options.nfs), repository=shlex.quote(options.repository),
        revision=shlex.quote(options.revision), command=shlex.join(command), again=LOST,
        restarts=options.restarts,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(launch("launch.tpu_vm", __doc__.splitlines()[0], add_arguments, run))
