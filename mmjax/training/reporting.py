"""What the report of a run shows, gathered from its folder."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmjax import config as configs
from mmjax import tree
from mmjax.errors import UserError
from mmjax.evaluation.report import Page, Sample
from mmjax.evaluation.table import Results, number
from mmjax.files import read_json
from mmjax.training.curves import Rows, charts
from mmjax.training.environment import anonymous, read_environment
from mmjax.training.goodput import BUCKETS
from mmjax.training.judging import RESULTS
from mmjax.training.restore import abstract_state, build_saved, newest_stage
from mmjax.training.system import System
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics

_STEP = re.compile(r"step_(\d+)")
_MOST = 8  # examples of a task or folder that are shown
_PLAYED = (".mp4", ".webm", ".wav", ".flac", ".png", ".jpg")
_MISSING = {
    "Samples": "None yet: set train.preview_every, or run mmjax sample with --out W/samples/NAME.",
    "Figures": "Not evaluated yet: run mmjax evaluate --workdir W.",
    "Environment": "It was not recorded.",
}


def page(workdir: Workdir) -> Page:
    """The page of a run; of its newest stage where it has several.

    Raises:
      UserError: there is no run, or it has no metrics yet.
    """
    stage = newest_stage(workdir)
    system = build_saved(stage.config(), data=False)
    rows = read_metrics(stage.metrics)
    if not rows:
        raise UserError(f"{workdir.path}: no metrics yet; train first")
    step = max(row["step"] for row in rows)
    return Page(
        title=system.name,
        subtitle=f"step {step} of {system.train.steps}, config {configs.digest(system.config)}",
        tiles=_tiles(system, rows),
        charts=charts(system, rows),
        samples=samples(stage.samples) | samples(workdir.samples),
        results=_results(workdir.path / RESULTS),
        time=_time(rows),
        config=without_paths(system.config),
        environment=read_environment(workdir.path),
        missing=_MISSING,
    )


def _results(path: pathlib.Path) -> Results | None:
    if not path.is_file():
        return None
    return Results.from_json(read_json(path))


def _tiles(system: System, rows: Rows) -> dict[str, str]:
    """The few facts to see first."""
    speeds = [row["examples_per_second"] for row in rows if row.get("examples_per_second")]
    last = next((row for row in reversed(rows) if "steps_per_second" in row), {})
    size = tree.count(abstract_state(system).params)
    tiles = {
        "steps": f"{max(row['step'] for row in rows):,}",
        "parameters": f"{size / 1e6:.3g} M" if size >= 1e5 else f"{size:,}",
        "examples per step": str(system.data.batch_size),
        "examples per second": number(float(np.median(speeds))) if speeds else "-",
    }
    for name, value in last.items():
        if name.startswith("loss/") and name.endswith("/total"):
            tiles[f"loss of update {name.split('/')[1]}"] = number(value)
    logged = [row for row in rows if row.get("bad_steps") is not None]
    # A line holds the mean over the steps since the one before.
    spans = np.diff([0, *(row["step"] for row in logged)])
    withheld = sum(row["bad_steps"] * span for row, span in zip(logged, spans, strict=True))
    tiles["steps withheld"] = f"{withheld:.0f}"
    return tiles


def _time(rows: Rows) -> dict[str, str]:
    """Where the time went until the last row of a step, bucket by bucket."""
    last = next((row for row in reversed(rows) if "goodput/share" in row), None)
    if last is None:
        return {}
    seconds = {bucket: last[f"goodput/{bucket}_seconds"] for bucket in BUCKETS}
    elapsed = sum(seconds.values())
    found = {"goodput": f"{last['goodput/share']:.1%} (steps that count, of all time but down)"}
    for bucket, value in seconds.items():
        found[bucket] = f"{value:,.1f} s, {value / elapsed:.1%}"
    if "goodput/median_step_seconds" in last:
        median, high = (number(last[f"goodput/{name}_step_seconds"]) for name in ("median", "p95"))
        found["a step"] = f"{median} s (median); 95 % take at most {high} s"
    if "goodput/mfu" in last:
        found["MFU"] = (
            f"{last['goodput/mfu']:.1%} (products and convolutions of a step, none of them twice, "
            "at the devices' bf16 peak, over the median)"
        )
    found["compiled steps"] = str(last["goodput/compiles"])
    return found


def samples(folder: pathlib.Path) -> dict[str, list[Sample]]:
    """Examples by heading: folders made by hand, then tasks from first preview to newest."""
    folders = sorted(path for path in folder.glob("*") if path.is_dir())
    previews = {int(m[1]): path for path in folders if (m := _STEP.fullmatch(path.name))}
    groups: dict[str, list[Sample]] = {}
    for path in folders:
        if path not in previews.values() and (found := _examples(path)):
            groups[path.name] = [sample for _, sample in found[:_MOST]]
    for step in sorted({min(previews, default=0), max(previews, default=0)} & previews.keys()):
        shown: dict[str, int] = {}
        for task, sample in _examples(previews[step]):
            shown[task] = shown.get(task, 0) + 1
            # Of the first step one example is enough to see the way from there.
            if step == max(previews) and shown[task] <= _MOST or shown[task] == 1:
                sample = dataclasses.replace(sample, title=f"step {step}")
                groups.setdefault(task, []).append(sample)
    return groups


def _examples(folder: pathlib.Path) -> list[tuple[str, Sample]]:
    """The examples of a folder with their tasks, from the JSON files that describe them."""
    found = []
    for path in sorted(folder.glob("*.json")):
        facts = read_json(path)
        files = [folder / name for name in facts["files"] if (folder / name).is_file()]
        media = [f for f in files if f.suffix in _PLAYED and not f.name.endswith(".sheet.png")]
        if any(f.suffix in (".mp4", ".webm") for f in media):
            # The film has the sound in it.
            media = [f for f in media if f.suffix not in (".wav", ".flac")]
        sheet = next((f for f in files if f.name.endswith(".sheet.png")), None)
        words = [f.read_text(encoding="utf-8").strip() for f in files if f.suffix == ".txt"]
        sample = Sample(path.stem, tuple(media), sheet, " ".join(words))
        found.append((facts.get("task", ""), sample))
    return found


def without_paths(node: Any) -> Any:
    """Config values with absolute paths cut to their last name."""
    if isinstance(node, Mapping):
        return {name: without_paths(value) for name, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [without_paths(value) for value in node]
    return anonymous(node) if isinstance(node, str) else node
