"""``mmjax data``: look at the data of a config, write them as records, encode them beforehand."""

import argparse

from mmjax.cli.sample import positive

EXAMPLE = "mmjax data show --config configs/quickstart.py --out shown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's subcommands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    show = _command(commands, "show", "the examples that the model sees, as files and a table")
    _split(show)
    show.add_argument("--count", type=positive, default=8, metavar="N", help="examples (default 8)")
    show.add_argument("--out", required=True, metavar="D", help="folder for the files")


def run(options: argparse.Namespace) -> None:
    """Runs a subcommand."""
    from mmjax.cli import data_show

    {"show": data_show.show}[options.command](options)


def _command(commands, name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.add_argument("--config", required=True, metavar="FILE.py[:variant]",
        help="a config; --config.field=value overrides any of its fields")  # fmt: skip
    return parser


def _split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", choices=("train", "evaluation"), default="train",
        help="of the config's data (default train)")  # fmt: skip
