"""Rows of figures as a table for people, and as JSON for programs."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

LOSS = "loss"
_NUMBERED = re.compile(r"_\d+$")


@dataclasses.dataclass(frozen=True)
class Row:
    """Figures of one model, or of real data, on one held-out set.

    Attributes:
      model: who made the clips; the reader's name for it.
      task: the direction of generation; empty for real data.
      set: the held-out set.
      clips: how many were judged.
      figures: ``metric/figure`` to value, and ``loss`` where there is a model.
    """

    model: str
    task: str
    set: str
    clips: int
    figures: Mapping[str, float | None]

    @property
    def is_model(self) -> bool:
        """Whether the clips were generated."""
        return bool(self.task) or LOSS in self.figures


@dataclasses.dataclass(frozen=True)
class Results:
    """All rows of an evaluation, with what fixes their meaning.

    Attributes:
      rows: in the order of the table.
      metrics: metric name to the id of its protocol.
      models: model name to its step, config digest, sampler and average.
      seed: of the noise and of the choice of clips.
      columns: the figures of the printed table; () all.
    """

    rows: tuple[Row, ...]
    metrics: Mapping[str, str]
    models: Mapping[str, Mapping[str, Any]]
    seed: int
    columns: tuple[str, ...] = ()

    @property
    def sets(self) -> tuple[str, ...]:
        """The held-out sets in order of appearance."""
        return tuple(dict.fromkeys(row.set for row in self.rows))

    def shown(self, name: str) -> tuple[str, ...]:
        """The columns of a set's table: the loss where there is one, then the figures.

        A metric may sum up kinds of clips apart, with a number at the end of a figure's name; the
        columns that the config asks for include these.
        """
        found = tuple(dict.fromkeys(k for row in self.rows if row.set == name for k in row.figures))
        figures = tuple(k for k in found if k.partition("/")[0] != LOSS)
        if self.columns:
            figures = tuple(
                k for column in self.columns for k in figures if _NUMBERED.sub("", k) == column
            )
        return ((LOSS,) if LOSS in found else ()) + figures

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN and infinity, which JSON lacks, become None."""
        plain = dataclasses.asdict(self)
        plain["rows"] = [
            {**row, "figures": {k: _finite(v) for k, v in row["figures"].items()}}
            for row in plain["rows"]
        ]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Results":
        """The inverse of :meth:`to_json`."""
        rows = tuple(Row(**row) for row in plain["rows"])
        return cls(**{**plain, "rows": rows, "columns": tuple(plain["columns"])})

    def text(self) -> str:
        """One table per held-out set, then the protocol."""
        parts = []
        for name in self.sets:
            columns = self.shown(name)
            body = [
                [row.model, row.task or "-", str(row.clips)]
                + [number(row.figures.get(column)) for column in columns]
                for row in self.rows
                if row.set == name
            ]
            header = ["model", "task", "clips", *(heading(column, columns) for column in columns)]
            parts.append(f"{name} clips\n" + align([header, *body]))
        return "\n\n".join([*parts, self.protocol()])

    def protocol(self) -> str:
        """What the figures depend on, a line each."""
        lines = [f"seed {self.seed}", *(f"metric {k}: {v}" for k, v in self.metrics.items())]
        for name, facts in self.models.items():
            lines.append(f"{name}: " + ", ".join(f"{k} {v}" for k, v in facts.items()))
        return "\n".join(lines)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None) -> str:
    """Three significant digits; a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines: first column to the left, the others padded to equal width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def heading(column: str, columns: Sequence[str]) -> str:
    """The figure's own name where no other column has the same, else ``metric/figure``."""
    figure = column.rpartition("/")[2]
    alike = [other for other in columns if other.rpartition("/")[2] == figure]
    return figure if len(alike) == 1 else column
