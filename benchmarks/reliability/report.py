"""What the cases say: a section of RESULTS.md, and what was not as promised."""

import collections
import pathlib
import statistics

from benchmarks.reliability.book import Book
from benchmarks.reliability.watched import PHASES

KINDS = ("SIGKILL", "SIGTERM")


def broken_promises(book: Book) -> list[str]:
    """A line for each case that did not end as it should."""
    found = [f"failed by itself: {case}" for case in book.cases("failures")]
    for case in book.cases("runs"):
        if case["differ"]:
            found.append(f"{case['kind']}: differs in {', '.join(case['differ'])}")
    for case in book.cases("SIGTERM"):
        if case["code"] != 0 or (case["lost"] or 0) > 1:
            found.append(f"a request to stop: {case}")
    for case in book.cases("damages"):
        if not (case["named"] and case["step before used"]):
            found.append(f"damage: {case}")
    return found


def section(book: Book, command: str) -> str:
    """The section of RESULTS.md."""
    about = book.content["about"]
    lines = [
        "## Nothing is lost", "",
        f"`{command}`, {about['date']}, {about['machine']}, jax {about['jax']}; every case is in "
        f"`{book.path.name}`.",
        f"{about['run']}. It is ended at a random moment of a random phase and started again until "
        "it is done; some starts compile everything anew, the others read what was compiled. "
        "Each finished run is compared with the one that was left alone: parameters, optimiser, "
        "moving averages, batch statistics, counters, every figure of every row of the metrics, "
        "the next two batches. A start is forked from a process that has imported everything: "
        "seconds to the first step are without that, on a machine that does other work besides.",
        "",
        "| signal | sent | runs finished and compared | that differ in any bit | exit code 0 | "
        "seconds to the end: median, most | steps to take again: median, most | "
        "seconds from start to first step: median, most |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(kind, book) for kind in KINDS), "",
    ]  # fmt: skip
    for kind in KINDS:
        met = collections.Counter(case["phase"] for case in book.cases(kind))
        writing = sum(case["writing"] for case in book.cases(kind))
        phases = ", ".join(f"{phase} {met[phase]}" for phase in PHASES if met[phase])
        lines += [f"What {kind} met: {phases}; of these {writing} while a checkpoint was written."]
    lines += ["", "| damage to the newest step | cases | file named | step before used |"]
    lines += ["|---|---|---|---|"]
    for kind in sorted({case["damage"] for case in book.cases("damages")}):
        cases = book.cases("damages", damage=kind)
        named, used = (sum(case[k] for case in cases) for k in ("named", "step before used"))
        lines.append(f"| {kind} | {len(cases)} | {named} | {used} |")
    broken = broken_promises(book)
    return "\n".join([*lines, "", *(broken or ["Every case ended as promised."])]) + "\n"


def _row(kind: str, book: Book) -> str:
    cases, runs = book.cases(kind), book.cases("runs", kind=kind)
    values = [
        kind, len(cases), len(runs), sum(bool(run["differ"]) for run in runs),
        "-" if kind == "SIGKILL" else sum(case["code"] == 0 for case in cases),
        *(_spread([c[k] for c in cases if c[k] is not None]) for k in
          ("seconds", "lost", "recovery")),
    ]  # fmt: skip
    return f"| {' | '.join(map(str, values))} |"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g}, {max(values):.3g}" if values else "-"


def write_section(path: pathlib.Path, text: str) -> None:
    """Puts a section in place of an older one of the same heading, or at the end."""
    heading, old = text.splitlines()[0], path.read_text(encoding="utf-8")
    before, found, after = old.partition(f"{heading}\n")
    if found:
        _, mark, rest = after.partition("\n## ")
        path.write_text(f"{before}{text}{mark}{rest}", encoding="utf-8")
    else:
        path.write_text(f"{old.rstrip()}\n\n{text}", encoding="utf-8")
