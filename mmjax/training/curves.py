"""The curves of a run, from its metrics and its schedules."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from mmjax.evaluation.report_charts import COLOURS, Chart, Series
from mmjax.training.system import System

Rows = Sequence[Mapping[str, Any]]
_TIME = re.compile(r"loss/(.+)/time_([\d.]+)")
_RATE_POINTS = 200


def charts(system: System, rows: Rows) -> list[Chart]:
    """Losses, losses by noise level, rates of learning, gradients, speed, and figures over time."""
    names = list(dict.fromkeys(name for row in rows for name in row if name != "step"))
    terms = [n for n in names if n.startswith("loss/") and not _TIME.fullmatch(n)]
    found = [
        _chart("Loss", rows, {n.removeprefix("loss/"): n for n in terms}),
        *_by_time(rows, names),
        _learning_rates(system, rows),
        _chart("Gradient norm", rows, _below("gradient_norm/", names)),
        _chart("Speed", rows, {"examples per second": "examples_per_second"}),
        *_evaluations(system, rows, names),
    ]
    return [chart for chart in found if chart is not None]


def _below(prefix: str, names: Sequence[str]) -> dict[str, str]:
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def _chart(
    title: str, rows: Rows, columns: Mapping[str, str], *, ordered: bool = False, note: str = ""
) -> Chart | None:
    """The columns of the metrics, by their name in the legend; None where they are empty."""
    series = []
    for label, column in columns.items():
        points = [(r["step"], r[column]) for r in rows if r.get(column) is not None]
        if points:
            series.append(Series(label, *np.array(points, np.float64).T))
    if not series:
        return None
    if len(columns) == 1 and not note:
        note = next(iter(columns))
    return Chart(title, tuple(series[:COLOURS]), ordered=ordered, note=note)


def _by_time(rows: Rows, names: Sequence[str]) -> list[Chart | None]:
    """A chart for each term whose loss is logged by noise level."""
    terms: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        if match := _TIME.fullmatch(name):
            begin = float(match[2])
            terms.setdefault(match[1], {})[f"from {begin:.2f}"] = name
    return [
        _chart(f"Loss of {term} by noise level", rows, columns, ordered=True,
               note="0 is clean, 1 is noise")
        for term, columns in terms.items()
    ]  # fmt: skip


def _learning_rates(system: System, rows: Rows) -> Chart:
    last = max(row["step"] for row in rows)
    steps = np.unique(np.linspace(0.0, last, _RATE_POINTS).round())
    series = []
    for name, update in system.updates.items():
        schedule = update.optimiser.schedule.build()
        rates = np.asarray([schedule(jnp.asarray(step)) for step in steps], np.float64)
        series.append(Series(name, steps, rates))
    note = series[0].name if len(series) == 1 else ""
    return Chart("Learning rate", tuple(series), exact=True, note=note)


def _evaluations(system: System, rows: Rows, names: Sequence[str]) -> list[Chart | None]:
    """A chart for each held-out figure of the table, with a curve per task; the loss first."""
    columns = system.evaluation.columns
    losses = _below("evaluation/loss", [n for n in names if "/time_" not in n])
    figures: dict[str, dict[str, str]] = {}
    for name in names:
        if name.startswith("evaluation/") and not name.startswith("evaluation/loss"):
            task, figure = name.split("/", 2)[1:]
            if not columns or figure in columns:
                figures.setdefault(figure, {})[task] = name
    return [
        _chart("Held-out loss", rows, {k.strip("/") or "all": v for k, v in losses.items()}),
        *(_chart(figure, rows, columns) for figure, columns in figures.items()),
    ]
