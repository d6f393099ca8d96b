"""The ``mmjax`` command: finds the verb, and turns a user's mistake into one line and exit code 2."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mmjax.errors import UserError

VERBS = {
    "train": "train a config, or go on with a run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    arguments, overrides = split_overrides(arguments)
    options = _parser(arguments).parse_args(arguments)
    options.overrides = overrides
    try:
        return importlib.import_module(f"mmjax.cli.{options.verb}").run(options) or 0
    except UserError as error:
        if options.debug:
            raise
        print(f"mmjax {options.verb}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates ``--config.a.b=value`` from the other arguments."""
    prefix = "--config."
    overrides = [a[len(prefix) :] for a in arguments if a.startswith(prefix)]
    return [a for a in arguments if not a.startswith(prefix)], overrides


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmjax", description="Multimodal generative models in JAX: train, sample, evaluate."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, summary in VERBS.items():
        subparser = verbs.add_parser(verb, help=summary, description=summary)
        subparser.add_argument("--debug", action="store_true", help="show tracebacks")
        if verb in arguments:  # the other verbs' modules stay unimported: they are slow to load
            importlib.import_module(f"mmjax.cli.{verb}").add_arguments(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
