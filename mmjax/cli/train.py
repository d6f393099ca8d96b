"""``mmjax train``: trains a config in a workdir; run again, it goes on where it was."""

import argparse

EXAMPLE = "mmjax train --config configs/quickstart.py:fast --workdir runs/quickstart"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags; ``--config.field=value`` overrides any field."""
    add = parser.add_argument
    add("--config", required=True, metavar="FILE.py[:variant]",
        help="a config; --config.field=value overrides any of its fields")  # fmt: skip
    add("--workdir", required=True, metavar="W", help="folder of the run")


def run(options: argparse.Namespace) -> int:
    """Trains; exit code 0 also when a signal asked to stop and the state was saved."""
    from mmjax import config as configs
    from mmjax.training.previews import Previews, Scores
    from mmjax.training.run import train_stages
    from mmjax.training.workdir import Workdir

    config = configs.load(options.config, options.overrides)
    workdir = Workdir(options.workdir)
    state, interrupted = train_stages(
        config, workdir, _arguments(options), preview=Previews(), evaluate=Scores()
    )
    if interrupted:
        print(f"stopped at step {int(state.step)}; the same command goes on from there")
    return 0


def _arguments(options: argparse.Namespace) -> list[str]:
    overrides = [f"--config.{override}" for override in options.overrides]
    return ["train", "--config", options.config, *overrides, "--workdir", options.workdir]
