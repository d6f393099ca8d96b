"""``mmjax weights``: a run's weights as a folder to pass on."""

import argparse
import pathlib

EXAMPLE = "mmjax weights export --workdir runs/quickstart --to pretrained/bouncing_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's subcommands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="averaged weights, config, figures and command of a run, in one folder",
        epilog=f"example: {EXAMPLE}",
    )
    export.add_argument("--workdir", required=True, metavar="W", help="folder of the run")
    export.add_argument("--to", required=True, metavar="DIR", help="new or older weights folder")
    export.add_argument("--half", action="store_true", help="store float16, half the size")


def run(options: argparse.Namespace) -> None:
    """Exports, and prints the folder with its size."""
    from mmjax.training.environment import read_environment
    from mmjax.training.judging import RESULTS
    from mmjax.training.restore import restore
    from mmjax.training.weights import TENSORS, save

    workdir = pathlib.Path(options.workdir)
    system, state = restore(workdir, data=False)
    metrics = _metrics(workdir / RESULTS, int(state.step))
    command = read_environment(workdir).get("command", "")
    save(options.to, system, state, half=options.half, metrics=metrics, command=command)
    size = (pathlib.Path(options.to) / TENSORS).stat().st_size
    print(f"{options.to}: step {int(state.step)}, {size / 2**20:.1f} MiB")
    if not metrics:
        print("it holds no figures: run mmjax evaluate on the run first, then export again")


def _metrics(path: pathlib.Path, step: int) -> dict:
    """The run's evaluation, if it is of this step."""
    from mmjax.files import read_json

    if not path.is_file():
        return {}
    found = read_json(path)
    judged = {model["step"] for model in found["models"].values()}
    return found if step in judged else {}
