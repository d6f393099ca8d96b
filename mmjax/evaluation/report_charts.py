"""Line charts as inline SVG: no script, colours from the page's style sheet."""

import dataclasses
import html
import math
from collections.abc import Sequence

import numpy as np

from mmjax.typing import Float

WIDTH, HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 30
_POINTS = 300  # a curve is averaged down to so many
_SMOOTH = 0.06  # of the points lie under the kernel of the strong line
COLOURS = 6


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve: values at steps, in order; what is not finite is left out."""

    name: str
    steps: Float[np.ndarray, " N"]
    values: Float[np.ndarray, " N"]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves over the training step.

    Attributes:
      title: above the chart.
      series: at most :data:`COLOURS`.
      ordered: the series are levels of one quantity, so they are shades of one colour.
      exact: the values have no noise to be smoothed.
      note: beneath the title.
    """

    title: str
    series: tuple[Series, ...]
    ordered: bool = False
    exact: bool = False
    note: str = ""


def figure(chart: Chart) -> str:
    """The chart as HTML, linear and, where all values are positive, logarithmic by a checkbox."""
    series = [_thinned(one) for one in chart.series[:COLOURS]]
    linear = _svg(chart, series, log=False)
    parts = [f'<figure class="chart"><h3>{html.escape(chart.title)}</h3>']
    if chart.note:
        parts.append(f'<p class="note">{html.escape(chart.note)}</p>')
    if len(series) > 1:
        parts.append(_legend(chart, series))
    if min(one.values.min() for one in series) > 0:
        parts += [
            '<label><input type="checkbox"> log scale</label>',
            linear,
            _svg(chart, series, log=True),
        ]
    else:
        parts.append(linear)
    return "".join([*parts, "</figure>"])


def _legend(chart: Chart, series: Sequence[Series]) -> str:
    items = (
        f'<li class="{_class(chart, index)}">{html.escape(one.name)}</li>'
        for index, one in enumerate(series)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _svg(chart: Chart, series: Sequence[Series], *, log: bool) -> str:
    values = np.concatenate([one.values for one in series])
    steps = np.concatenate([one.steps for one in series])
    y_ticks = ticks(float(values.min()), float(values.max()), log=log)
    x_ticks = ticks(float(steps.min()), float(steps.max()), log=False)
    # Ticks lie outside the values, so that no curve touches the frame.
    low, high = min(y_ticks[0], values.min()), max(y_ticks[-1], values.max())

    def across(step):
        span = max(steps.max() - steps.min(), 1)
        return _LEFT + (step - steps.min()) / span * (WIDTH - _LEFT - _RIGHT)

    def up(value):
        place = np.log(value / low) / np.log(high / low) if log else (value - low) / (high - low)
        return HEIGHT - _BOTTOM - place * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="{"log" if log else "linear"}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(chart.title)}">'
    ]
    for tick in y_ticks:
        y = up(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" '
                     f'y2="{y:.1f}"/><text class="y" x="{_LEFT - 8}" y="{y + 4:.1f}">'
                     f"{label(tick)}</text>")  # fmt: skip
    for tick in x_ticks:
        if steps.min() <= tick <= steps.max():
            x = across(tick)
            parts.append(f'<text class="x" x="{x:.1f}" y="{HEIGHT - 8}">{label(tick)}</text>')
    for index, one in enumerate(series):
        x, colour = across(one.steps), _class(chart, index)
        lines = {"curve": one.values}
        if not chart.exact:
            lines = {"raw": lines["curve"], "curve": smooth(one.values, log=log)}
        for kind, line in lines.items():
            parts.append(f'<path class="{kind} {colour}" d="{_path(x, up(line))}">'
                         f"<title>{html.escape(one.name)}</title></path>")  # fmt: skip
    return "".join([*parts, "</svg>"])


def _class(chart: Chart, index: int) -> str:
    return f"level{index}" if chart.ordered else f"colour{index}"


def _path(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _thinned(series: Series) -> Series:
    """Means of neighbouring points, so that a long run stays a small page."""
    known = np.isfinite(series.values)
    table = np.stack([series.steps[known], series.values[known]], axis=-1)
    parts = np.array_split(table, min(len(table), _POINTS))
    means = np.array([part.mean(axis=0) for part in parts])
    return Series(series.name, means[:, 0], means[:, 1])


def smooth(values: Float[np.ndarray, " N"], *, log: bool) -> Float[np.ndarray, " N"]:
    """Values under a moving triangular window, narrower at the ends; in logarithms if ``log``."""
    array = np.log(values) if log else values
    half = max(1, round(_SMOOTH * len(array)))
    kernel = np.concatenate([np.arange(1, half + 1), np.arange(half - 1, 0, -1)]).astype(float)
    weight = np.convolve(np.ones(len(array)), kernel)[half - 1 : half - 1 + len(array)]
    result = np.convolve(array, kernel)[half - 1 : half - 1 + len(array)] / weight
    return np.exp(result) if log else result


def ticks(low: float, high: float, *, log: bool) -> list[float]:
    """About five round numbers that enclose the range."""
    if log:
        return _log_ticks(low, high)
    if high <= low:
        low, high = low - abs(low) * 0.5 - 1e-12, high + abs(high) * 0.5 + 1e-12
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there is room."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-12)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    every = max(1, (last - first) // 5)
    found = [m * 10.0**power for power in range(first, last + 1, every) for m in factors]
    first = max(tick for tick in found if tick <= low)
    inner = [tick for tick in found if first < tick < high]
    enclosing = [tick for tick in found if tick >= high and tick > first] or [10.0 ** (last + 1)]
    return [first, *inner, enclosing[0]]


def label(value: float) -> str:
    """A short form of a round number: 0.5, 20, 12k, 1e-6."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    if abs(value) < 1e-3:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    return f"{value:.6g}"
