"""``mmjax data``: look at the data of a config, write them as records, encode them beforehand."""

import argparse
import importlib

from mmjax.cli.sample import positive

EXAMPLE = "mmjax data show --config configs/quickstart.py --out shown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's subcommands and their flags."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    show = _command(commands, "show", "the examples that the model sees, as files and a table")
    _split(show)
    show.add_argument("--count", type=positive, default=8, metavar="N", help="examples (default 8)")
    show.add_argument("--out", required=True, metavar="D", help="folder for the files")
    write = _command(commands, "write", "the records of a split as ArrayRecord files")
    _split(write)
    _records(write)
    write.add_argument("--tfds", metavar="NAME",
        help="build both splits as a data set of TFDS with this name instead")  # fmt: skip
    cache = _command(commands, "cache", "encode a split once, to train on its latents")
    _split(cache)
    _records(cache)
    cache.add_argument("--fields", default="", metavar="A,B",
        help="fields to encode (default: all that a codec on the device encodes)")  # fmt: skip
    cache.add_argument("--workdir", metavar="W",
        help="run or weights folder of a learned codec, for the field that it was trained on"
    )  # fmt: skip
    cache.add_argument("--per-file", type=positive, default=1024, metavar="N",
        help="records of a file; an interrupted cache goes on with whole files (default 1024)"
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Runs a subcommand."""
    module = importlib.import_module(f"mmjax.cli.data_{options.command}")
    getattr(module, options.command)(options)


def _command(commands, name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.add_argument("--config", required=True, metavar="FILE.py[:variant]",
        help="a config; --config.field=value overrides any of its fields")  # fmt: skip
    return parser


def _split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", choices=("train", "evaluation"), default="train",
        help="of the config's data (default train)")  # fmt: skip


def _records(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=positive, metavar="N", help="records (default: all)")
    parser.add_argument("--to", required=True, metavar="DIR", help="folder for the records")
