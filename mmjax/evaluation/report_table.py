"""An evaluation as HTML tables in which every figure stands on the scale of its column."""

import html
import math
from collections.abc import Sequence

from mmjax.evaluation.table import Results, Row, heading, number

_WIDTH, _MARGIN = 72, 4


def scaled_tables(results: Results) -> str:
    """A table per held-out set and the protocol beneath.

    Under each figure lies the range of its column, from the lowest to the highest of all rows, with
    a dot for the row and a stroke for real data.
    """
    parts = [
        '<p class="note">Under each figure: the range of its column, a dot for this row, a stroke '
        "for real data.</p>"
    ]
    for name in results.sets:
        rows = [row for row in results.rows if row.set == name]
        parts.append(f'<h3 class="task">{html.escape(name)} clips</h3>')
        parts.append(_table(rows, results.shown(name)))
    protocol = html.escape(results.protocol())
    parts.append(f"<details><summary>protocol</summary><pre>{protocol}</pre></details>")
    return "".join(parts)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    titles = ["model", "task", "clips", *(heading(column, columns) for column in columns)]
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    real = next((row for row in rows if not row.is_model), None)
    lines = []
    for row in rows:
        cells = [html.escape(row.model), html.escape(row.task or "–"), str(row.clips)]
        cells += [_cell(row, column, rows, real) for column in columns]
        kind = "model" if row.is_model else "real"
        lines.append(f'<tr class="{kind}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(row: Row, column: str, rows: Sequence[Row], real: Row | None) -> str:
    value = row.figures.get(column)
    if not _known(value):
        return "–"
    values = [r.figures[column] for r in rows if _known(r.figures.get(column))]
    low, high = min(values), max(values)

    def place(at: float) -> float:
        share = (at - low) / (high - low) if high > low else 0.5
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    mark = ""
    if real is not None and _known(real.figures.get(column)):
        x = place(real.figures[column])
        mark = f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="10"/>'
    return (
        f'{number(value)}<svg class="scale" viewBox="0 0 {_WIDTH} 10">'
        f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="5" y2="5"/>{mark}'
        f'<circle cx="{place(value):.1f}" cy="5" r="3.5"/></svg>'
    )


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
