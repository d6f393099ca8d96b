"""What every launcher takes and does: a config, a workdir, overrides, ``--dry-run``."""

import argparse
import pathlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence

from mmjax.cli.main import Parser, split_overrides
from mmjax.errors import MISTAKE, UserError


def launch(
    name: str,
    summary: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Reads the command line of a launcher and runs it; returns the exit code.

    Args:
      name: of the module.
      summary: for ``--help``.
      add_arguments: adds the flags of this launcher.
      run: does it; ``options.overrides`` holds what ``--config.field=value`` sets.
      arguments: the command line, by default this program's.
    """
    arguments, overrides = split_overrides(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(prog=f"python -m {name}", description=summary)
    add = parser.add_argument
    add("--config", required=True, metavar="FILE.py[:variant]",
        help="what to train; --config.field=value overrides any of its fields")  # fmt: skip
    add("--workdir", required=True, metavar="W", help="folder of the run, seen by every process")
    add("--dry-run", action="store_true", help="print what would be done, and do nothing")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    options.overrides = overrides
    try:
        return run(options)
    except (UserError, OSError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return MISTAKE


def train_command(
    options: argparse.Namespace, *flags: str, program: Sequence[str] = ("mmjax",)
) -> list[str]:
    """The ``mmjax train`` that every process runs, as a list of arguments.

    Args:
      options: of a launcher.
      flags: more for ``mmjax train``, such as where its coordinator is.
      program: what ``mmjax`` is there.
    """
    overrides = [f"--config.{override}" for override in options.overrides]
    run = ["--config", options.config, "--workdir", options.workdir]
    return [*program, "train", *run, *overrides, *flags]


def this_program() -> tuple[str, ...]:
    """``mmjax`` with the Python that runs here, for machines that share its files."""
    return sys.executable, "-m", "mmjax.cli.main"


def call(command: Sequence[str], *, text: str | None = None) -> str:
    """Runs a tool and returns what it prints.

    Raises:
      UserError: there is no such tool, or it fails; the message is its own.
    """
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]}: not found on this machine; try --dry-run") from error
    if done.returncode:
        raise UserError(f"{shlex.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def name_of_run(workdir: str) -> str:
    """A name for clusters, from the workdir's own: letters, digits and dashes, at most 40."""
    name = re.sub(r"[^a-z0-9]+", "-", pathlib.PurePath(workdir).name.lower()).strip("-")
    return f"mmjax-{name}"[:40].rstrip("-")


def positive(text: str) -> int:
    """An integer argument of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value
