"""A run on one page of HTML that holds everything it shows: nothing is fetched, nothing runs."""

import base64
import dataclasses
import html
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.evaluation.report_charts import Chart, figure
from mmjax.evaluation.report_style import CSS
from mmjax.evaluation.report_table import scaled_tables
from mmjax.evaluation.table import Results

_TYPES = {
    ".mp4": "video/mp4", ".webm": "video/webm", ".wav": "audio/wav", ".flac": "audio/flac",
    ".png": "image/png", ".jpg": "image/jpeg",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Sample:
    """One generated example: its files, and what is said beneath it.

    Attributes:
      title: such as its number.
      files: media first, in the order of importance.
      sheet: a picture of all its fields.
      text: the words that belong to it.
    """

    title: str
    files: tuple[pathlib.Path, ...]
    sheet: pathlib.Path | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Page:
    """What a report shows.

    Attributes:
      title, subtitle: at the top.
      tiles: name to value of the few facts to see first.
      charts: in order.
      samples: examples by the heading above them.
      results: an evaluation.
      time: what the run's time went into.
      config: shown section by section.
      environment: where the run was made.
      missing: name of an absent part to what would fill it.
    """

    title: str
    subtitle: str
    tiles: Mapping[str, str]
    charts: Sequence[Chart]
    samples: Mapping[str, Sequence[Sample]]
    results: Results | None
    time: Mapping[str, str]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    missing: Mapping[str, str] = dataclasses.field(default_factory=dict)


def render(page: Page) -> str:
    """The page as one HTML document."""
    sections = {
        "Samples": _samples(page.samples),
        "Figures": "" if page.results is None else scaled_tables(page.results),
        "Curves": _charts(page.charts),
        "Time": _definitions(page.time),
        "Config": _config(page.config),
        "Environment": _definitions(page.environment),
    }
    body = [
        f"<h1>{html.escape(page.title)}</h1>",
        f'<p class="subtitle">{html.escape(page.subtitle)}</p>',
        _tiles(page.tiles),
    ]
    for heading, content in sections.items():
        absent = page.missing.get(heading, "Nothing was recorded.")
        body.append(f"<section><h2>{heading}</h2>")
        body.append(content or f'<p class="note">{html.escape(absent)}</p>')
        body.append("</section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(page.title)}</title><style>{CSS}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _tiles(tiles: Mapping[str, str]) -> str:
    items = (
        f"<li><b>{html.escape(value)}</b><span>{html.escape(name)}</span></li>"
        for name, value in tiles.items()
    )
    return f'<ul class="tiles">{"".join(items)}</ul>'


def _charts(charts: Sequence[Chart]) -> str:
    return f'<div class="charts">{"".join(map(figure, charts))}</div>' if charts else ""


def _samples(groups: Mapping[str, Sequence[Sample]]) -> str:
    parts = []
    for heading, samples in groups.items():
        parts.append(f'<h3 class="task">{html.escape(heading)}</h3><div class="clips">')
        parts += map(_sample, samples)
        parts.append("</div>")
    return "".join(parts)


def _sample(sample: Sample) -> str:
    media = "".join(map(_medium, sample.files))
    caption = html.escape(" · ".join(filter(None, (sample.title, sample.text))))
    sheet = ""
    if sample.sheet is not None:
        sheet = f"<details><summary>all of it</summary>{_medium(sample.sheet)}</details>"
    return f'<figure class="clip">{media}<figcaption>{caption}</figcaption>{sheet}</figure>'


def _medium(path: pathlib.Path) -> str:
    """A film, sound or picture with its bytes inside."""
    kind = _TYPES[path.suffix]
    data = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    if kind.startswith("video"):
        return f'<video controls loop playsinline preload="auto" src="{data}"></video>'
    if kind.startswith("audio"):
        return f'<audio controls preload="auto" src="{data}"></audio>'
    return f'<img alt="{html.escape(path.stem)}" src="{data}">'


def _config(config: Mapping[str, Any]) -> str:
    plain = {k: v for k, v in config.items() if not isinstance(v, Mapping)}
    sections = {k: v for k, v in config.items() if isinstance(v, Mapping)}
    parts = [_definitions(plain)] if plain else []
    for name, section in sections.items():
        text = html.escape(json.dumps(section, indent=2))
        parts.append(f"<details><summary><code>{name}</code></summary><pre>{text}</pre></details>")
    return "".join(parts)


def _definitions(facts: Mapping[str, Any]) -> str:
    items = []
    for name, value in facts.items():
        shown = value
        if isinstance(value, Mapping):
            shown = ", ".join(f"{key} {item}" for key, item in value.items())
        items.append(f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(shown))}</dd>")
    return f"<dl>{''.join(items)}</dl>" if items else ""
