"""``python -m benchmarks.reliability``; see the package."""

import argparse
import datetime
import importlib
import os
import pathlib
import platform
import sys
from collections.abc import Iterator, Mapping

import jax

from benchmarks.reliability import __doc__ as about
from benchmarks.reliability import damages, report, watched
from benchmarks.reliability.book import Book
from benchmarks.reliability.compare import digests
from benchmarks.reliability.endings import end_runs, leave_alone
from benchmarks.reliability.forked import in_fork

FOLDER = pathlib.Path(__file__).parents[1]
_AT_ONCE, _PART = 20, 50  # damages of one process; endings by both signals


def main() -> int:
    """Runs what the book does not hold yet; 1 if anything was not as promised."""
    options = _options()
    _import_all()
    book = Book(options.out, {
        "run": f"{watched.CONFIG}, {watched.STEPS} steps, saved every 2, evaluated every 9, "
        "previewed every 13",
        "seed": options.seed, "date": str(datetime.date.today()), "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    })  # fmt: skip
    reference = leave_alone(options.work / "reference")
    expected = in_fork(digests, str(reference))
    missing = list(range(len(book.cases("damages")), options.damages))
    for first in range(0, len(missing), _AT_ONCE):
        part = missing[first : first + _AT_ONCE]
        for case in in_fork(damages.spoil, str(reference), part, options.seed):
            book.add("damages", case)
    parts = max(1, (options.kills + options.stops) // _PART)
    for part in range(1, parts + 1):  # in turns, should there be no time for all
        for kind, number in (("SIGKILL", options.kills), ("SIGTERM", options.stops)):
            end_runs(kind, number * part // parts, options.work / kind, expected, book)
    counts = f"--kills {options.kills} --stops {options.stops} --damages {options.damages}"
    text = report.section(
        book, f"python -m benchmarks.reliability {counts} --seed {options.seed} --work W"
    )
    print(text)
    if options.results is not None:
        report.write_section(options.results, text)
    return 1 if report.broken_promises(book) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kills", type=int, default=200, help="SIGKILLs to send")
    add("--stops", type=int, default=100, help="SIGTERMs to send")
    add("--damages", type=int, default=200, help="checkpoints to spoil")
    add("--seed", type=int, default=0, help="of the moments and the damages")
    add("--work", type=pathlib.Path, required=True, help="folder for the runs")
    add("--out", type=pathlib.Path, default=FOLDER / "reliability.json", help="the cases")
    add("--results", type=pathlib.Path, help="a RESULTS.md that gets a section")
    return parser.parse_args()


def _import_all() -> None:
    """Imports what a start needs, once for all of them; nothing is computed."""
    from mmjax import config as configs

    config = configs.plain(configs.load(str(watched.ROOT / watched.CONFIG), []))
    modules = {target.partition(":")[0] for target in _targets(config)}
    others = ("mmjax.cli.train", "mmjax.training.previews", "tensorboardX", "sklearn.datasets",
              "tests.training.damage")  # fmt: skip
    for name in (*sorted(modules), *others):
        importlib.import_module(name)


def _targets(node) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                yield value
            else:
                yield from _targets(value)


if __name__ == "__main__":
    sys.exit(main())
