"""``mmjax train``: trains a config in a workdir; run again, it goes on where it was."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags; ``--config.field=value`` overrides any field."""
    parser.add_argument("--config", required=True, help="configs/FILE.py[:variant]")
    parser.add_argument("--workdir", required=True, help="folder of the run")


def run(options: argparse.Namespace) -> int:
    """Trains; exit code 0 also when a signal asked to stop and the state was saved."""
    from mmjax import config as configs
    from mmjax.training.loop import train
    from mmjax.training.system import build
    from mmjax.training.workdir import Workdir

    system = build(configs.load(options.config, options.overrides))
    state, interrupted = train(system, Workdir(options.workdir))
    if interrupted:
        print(f"stopped at step {int(state.step)}; the same command goes on from there")
    return 0
