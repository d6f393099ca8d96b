"""The ``mmjax`` command: finds the verb; a user's mistake is one line and exit code 2."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mmjax.errors import INTERRUPTED, MISTAKE, ToldElsewhere, UserError
from mmjax.training.memory import keep_freed_memory

VERBS = {
    "train": "train a config, or go on with a run",
    "sample": "generate any streams from any others",
    "evaluate": "measure a run or weights on held-out data, beside real data",
    "report": "make one page of curves, samples and figures of a run",
    "data": "show the data of a config, write them as records, encode them beforehand",
    "weights": "pass a run's weights on; read and write public ones",
    "plan": "whether a config fits on a slice of TPUs, and how fast it can be, without any",
    "systems": "list every config with its size and the state of its gates",
}


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line."""

    def error(self, message: str):
        """Exits with code 2."""
        self.exit(MISTAKE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    keep_freed_memory()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    arguments, overrides = split_overrides(arguments)
    parser = _parser(arguments)
    options = parser.parse_args(arguments)
    if overrides and not hasattr(options, "config"):
        parser.error(f"{options.verb} takes no --config.{overrides[0]}")
    options.overrides = overrides
    try:
        return importlib.import_module(f"mmjax.cli.{options.verb}").run(options) or 0
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError) as error:
        if options.debug:
            raise
        if not isinstance(error, ToldElsewhere):
            print(f"mmjax {options.verb}: {_line(error)}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        if options.debug:
            raise
        print(f"mmjax {options.verb}: interrupted", file=sys.stderr)
        return INTERRUPTED


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates ``--config.a.b=value`` from the other arguments."""
    prefix = "--config."
    overrides = [a[len(prefix) :] for a in arguments if a.startswith(prefix)]
    return [a for a in arguments if not a.startswith(prefix)], overrides


def _parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(
        prog="mmjax", description="Multimodal generative models in JAX: train, sample, evaluate."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, summary in VERBS.items():
        subparser = verbs.add_parser(
            verb,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        subparser.add_argument("--debug", action="store_true", help="show tracebacks")
        if verb in arguments:  # the other verbs' modules stay unimported: they are slow to load
            module = importlib.import_module(f"mmjax.cli.{verb}")
            subparser.epilog = f"example:\n  {module.EXAMPLE}"
            module.add_arguments(subparser)
    return parser


def _line(error: Exception) -> str:
    """The error on one line; an OSError by its file and reason."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
