"""A SLURM job that saves and queues again when it is preempted or its time is over.

    python -m launch.slurm --nodes 4 --tasks-per-node 8 --gpus-per-task 1 --time 24:00:00 \
        --config configs/quickstart.py --workdir runs/quickstart --sbatch=--partition=gpu

``mmjax train`` finds the other tasks by the variables of its step. SLURM asks the tasks of a job to
stop that it preempts, and warns the job before its time is over, which the script passes on; the
run saves at one step and ends, and the job is put back into the queue. It is put back too where a
task was lost or hung, at most ``--restarts`` times.
"""

import argparse
import os
import pathlib
import shlex
import sys

from launch.common import call, launch, name_of_run, positive, this_program, train_command
from mmjax.sharding.peers import LOST

STOPPED = 85  # exit code of a run that was asked to stop, as by preemption, and has saved

SCRIPT = """#!/bin/bash
# Written by launch/slurm.py.
stop() {{
  warned=yes
  scancel --signal=TERM --quiet "$SLURM_JOB_ID" || true  # all steps; this script goes on
}}
trap stop USR1

{srun} &
step=$!
warned=yes
while [[ -n $warned ]]; do  # a signal ends the wait, not the step
  warned=
  wait "$step"
  code=$?
done

again=
if (( code == {stopped} )); then
  again="stopped and saved"
elif (( (code == {lost} || code > 128) && ${{SLURM_RESTART_COUNT:-0}} < {restarts} )); then
  again="exit code $code"
fi
# A job that was cancelled, or is in the queue again already, is left as it is.
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)
if [[ -n $again && $state == RUNNING ]]; then
  echo "launch.slurm: $again; back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this launcher."""
    add = parser.add_argument
    add("--nodes", type=positive, default=1, metavar="N")
    add("--tasks-per-node", type=positive, default=1, metavar="T",
        help="processes on a node; one for each accelerator, or one for all")  # fmt: skip
    add("--gpus-per-task", type=positive, metavar="G")
    add("--cpus-per-task", type=positive, metavar="C")
    add("--time", metavar="LIMIT", help="of one start, such as 24:00:00; SLURM's own by default")
    add("--warning", type=positive, default=300, metavar="SECONDS",
        help="before the time is over, in which the run saves (default 300)")  # fmt: skip
    add("--restarts", type=int, default=20, metavar="R", help="after failures (default 20)")
    add("--sbatch", action="append", default=[], metavar="=OPTION",
        help="one more option for sbatch, such as --sbatch=--partition=gpu")  # fmt: skip
    add("--srun", action="append", default=[], metavar="=OPTION", help="one more for srun")


def run(options: argparse.Namespace) -> int:
    """Submits the job, or prints the submission as a shell command."""
    command, text = submission(options), script(options)
    if options.dry_run:
        print(f"{shlex.join(command)} <<'END_OF_JOB'\n{text}END_OF_JOB")
        return 0
    pathlib.Path(options.workdir).mkdir(parents=True, exist_ok=True)
    job = call(command, text=text).strip().split(";")[0]
    print(f"launch.slurm: job {job}; its output: {_log(options).replace('%j', job)}")
    return 0


def submission(options: argparse.Namespace) -> list[str]:
    """The sbatch command, which reads the script from its standard input."""
    command = [
        "sbatch", "--parsable", f"--job-name={name_of_run(options.workdir)}",
        f"--nodes={options.nodes}", f"--ntasks-per-node={options.tasks_per_node}",
        "--requeue", "--open-mode=append", f"--output={_log(options)}",
        f"--signal=B:USR1@{options.warning}",
    ]  # fmt: skip
    if options.time:
        command.append(f"--time={options.time}")
    for resource in ("gpus_per_task", "cpus_per_task"):
        if value := getattr(options, resource):
            command.append(f"--{resource.replace('_', '-')}={value}")
    return command + options.sbatch


def script(options: argparse.Namespace) -> str:
    """The batch script; all arguments in it are quoted."""
    # When one task fails, the others are ended by SLURM only after they had time to say why.
    srun = ["srun", "--kill-on-bad-exit=0", "--wait=120", *options.srun]
    srun += train_command(options, "--stopped-code", str(STOPPED), program=this_program())
    codes = {"stopped": STOPPED, "lost": LOST}
    return SCRIPT.format(srun=shlex.join(srun), restarts=options.restarts, **codes)


def _log(options: argparse.Namespace) -> str:
    """The job's output, %j being its number; a %% in the workdir's own name stays one."""
    folder = os.path.abspath(options.workdir).replace("%", "%%")
    return os.path.join(folder, "slurm-%j.log")


if __name__ == "__main__":
    sys.exit(launch("launch.slurm", __doc__.splitlines()[0], add_arguments, run))
