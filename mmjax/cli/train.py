"""``mmjax train``: trains a config in a workdir; run again, it goes on where it was."""

import argparse

from mmjax.config import Config
from mmjax.errors import UserError

EXAMPLE = "mmjax train --config configs/quickstart.py:fast --workdir runs/quickstart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags; ``--config.field=value`` overrides any field."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE.py[:variant]",
        help="a config; --config.field=value overrides any of its fields")  # fmt: skip
    add("--workdir", required=True, metavar="W", help="folder of the run")
    add("--coordinator", metavar="HOST:PORT",
        help="where process 0 of several listens; found by itself on SLURM and GKE; auto: "
        "ask the TPU VM")  # fmt: skip
    add("--processes", type=int, metavar="N", help="how many processes there are")
    add("--process", type=int, metavar="I", help="which of them this is, from 0")
    add("--stopped-code", type=int, default=0, metavar="C",
        help="exit code of a run that a signal stopped, once it is saved")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Trains; the exit code is 0 at the end of the run, and ``--stopped-code`` before it."""
    from mmjax import config as configs
    from mmjax.planning.utilisation import shortest_step
    from mmjax.sharding.multihost import joined, say_once
    from mmjax.training.control import watched
    from mmjax.training.goodput import process_start
    from mmjax.training.previews import Previews, Scores
    from mmjax.training.run import train_stages
    from mmjax.training.workdir import Workdir

    config = configs.load(options.config, options.overrides)
    workdir = Workdir(options.workdir)
    limits = _limits(config)
    cluster = options.coordinator, options.processes, options.process
    with watched(*limits, joined(*cluster, limit=limits[0])) as (waits, interrupt):
        state, interrupted = train_stages(
            config, workdir, _arguments(options),
            preview=Previews(), evaluate=Scores(), interrupt=interrupt, waits=waits,
            since=process_start(), shortest_step=shortest_step,
        )  # fmt: skip
        if interrupted:
            step = int(state.step)
            say_once(f"stopped at step {step}; the same command goes on from there")
    return options.stopped_code if interrupted else 0


def _limits(config: Config) -> list[float | int]:
    """The limits of waits in seconds; they hold from the start, before the config is built."""
    from mmjax.training.system import Train

    found = []
    for name in ("wait_limit", "phase_limit"):
        value = config.get("train", {}).get(name, getattr(Train, name))
        if not isinstance(value, (int, float)) or value <= 0:
            raise UserError(f"config.train.{name}: expected seconds above 0, got {value!r}")
        found.append(value)
    return found


def _arguments(options: argparse.Namespace) -> list[str]:
    overrides = [f"--config.{override}" for override in options.overrides]
    return ["train", "--config", options.config, *overrides, "--workdir", options.workdir]
