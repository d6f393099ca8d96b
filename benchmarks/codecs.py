"""What codecs learn in some hundred steps, and how fast they are beside their public references.

    python -m benchmarks.codecs learn --steps 400 --out benchmarks/codecs_learn.json
    python -m benchmarks.codecs speed --rounds 7 --out benchmarks/codecs_speed.json

``learn`` trains the ``:tiny`` form of every config whose objective is a reconstruction and judges
it on held-out examples by its modality's metrics, beside the mean of the training examples or, of
sound, their mean spectrum; with ``--configs`` it goes on with the file. ``speed`` times encoding
and decoding with the same random weights in neighbouring runs.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.codec_peers import CASES, measure
from benchmarks.common import THREADS, environment, table

ROOT = pathlib.Path(__file__).parents[1] / "configs"
CLIPS = 32  # held-out examples
WARM = 20  # training batches whose mean is the baseline
BASELINE = "baseline "


def codecs() -> list[str]:
    """The configs whose objective is to give back what was given."""
    from mmjax import config as configs
    from mmjax.training.reconstruction import TASK
    from mmjax.training.system import build

    names = []
    for path in sorted(ROOT.rglob("*.py")):
        if "ablations" not in path.parts:
            system = build(configs.load(f"{path}:tiny"))
            if TASK in system.evaluation.tasks:
                names.append(path.relative_to(ROOT).with_suffix("").as_posix())
    return names


def learn(name: str, steps: int) -> dict[str, float]:
    """Trains a tiny form; figures of its reconstructions and of the baseline, held-out."""
    import jax

    from mmjax import config as configs
    from mmjax.training.batches import make_pipeline
    from mmjax.training.held_out import held_out_sets
    from mmjax.training.judging import Examiner
    from mmjax.training.reconstruction import TASK
    from mmjax.training.restore import untrained
    from mmjax.training.step import make_step
    from mmjax.training.system import build

    system = build(configs.load(f"{ROOT / name}.py:tiny"))
    task = system.evaluation.tasks[TASK]
    field = system.streams[task.want[0]].field
    pipeline, step = make_pipeline(system), jax.jit(make_step(system), donate_argnums=0)
    state, seen = untrained(system), []
    for index in range(steps):
        batch = pipeline.batch(index)
        seen += [batch[field]] if index < WARM else []
        state, logged = step(state, batch)
    examiner = Examiner(system, held_out_sets(system, clips=CLIPS), {TASK: task})
    (held_out,) = examiner.sets.values()
    made = [examiner.media(state, task, batch, jax.random.key(0)) for batch in held_out]
    metrics, real = system.evaluation.metrics, [{field: batch[field]} for batch in held_out]
    figures = judged(metrics, made, real) | baseline(metrics, field, np.concatenate(seen), real)
    for key, (total, count) in logged.items():
        if key.startswith("perplexity"):
            figures[key] = float(total / count)
    return figures


def judged(metrics: Mapping[str, Any], made: list[dict], real: list[dict]) -> dict[str, float]:
    """The figures of batches of clips beside what they should be."""
    from mmjax.evaluation.evaluator import Judge

    judge = Judge(metrics)
    for one, other in zip(made, real, strict=True):
        judge.add(one, other)
    return {key.rpartition("/")[2]: value for key, value in judge.figures().items()}


def baseline(
    metrics: Mapping[str, Any], field: str, seen: np.ndarray, real: list[dict]
) -> dict[str, float]:
    """The same figures of the mean of ``seen``; of sound, of the mean of its spectra."""
    from mmjax.evaluation.metrics.spectra import SpectralComparison

    if all(isinstance(metric, SpectralComparison) for metric in metrics.values()):
        sounds, found = np.concatenate([batch[field] for batch in real]), {}
        for metric in metrics.values():
            own, wrong = metric.spectra(sounds), metric.spectra(seen)
            means = [
                np.broadcast_to(x.mean((0, 1)), y.shape) for x, y in zip(wrong, own, strict=True)
            ]
            found |= metric.compute(metric.apart(means, own))
    else:
        mean = seen.mean(0, dtype=np.float64)
        guess = [{field: np.broadcast_to(mean, batch[field].shape)} for batch in real]
        found = judged(metrics, guess, real)
    return {f"{BASELINE}{key}": value for key, value in found.items()}


def _learned(results: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| config | steps | reconstruction | baseline |", "|---|---|---|---|"]
    for name, figures in sorted(results.items()):
        cells = {BASELINE: [], "": []}
        for key, value in figures.items():
            label = BASELINE if key.startswith(BASELINE) else ""
            cells[label] += [] if key == "steps" else [f"{key.removeprefix(label)} {value:.3g}"]
        mine, other = ", ".join(cells[""]), ", ".join(cells[BASELINE])
        lines.append(f"| {name} | {figures['steps']} | {mine} | {other} |")
    return "\n".join(lines)


def _write(path: pathlib.Path | None, result: Mapping[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _earlier(path: pathlib.Path | None) -> dict[str, dict[str, float]]:
    """The figures of a file, which those of chosen configs are put beside."""
    if path is None or not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))["figures"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("learn")
    one.add_argument("--steps", type=int, default=400)
    one.add_argument("--configs", nargs="+", help="all codecs, by default")
    two = commands.add_parser("speed")
    two.add_argument("--rounds", type=int, default=7)
    two.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    for each in (one, two):
        each.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    os.environ |= {
        "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    packages = ("jax", "torch", "diffusers", "transformers")
    result: dict[str, Any] = {"command": sys.argv[1:], "environment": environment(packages)}
    if options.command == "learn":
        result["figures"] = _earlier(options.out) if options.configs else {}
        for name in options.configs or codecs():
            result["figures"][name] = {"steps": options.steps} | learn(name, options.steps)
            print(name, result["figures"][name], flush=True)
            _write(options.out, result)
        print(_learned(result["figures"]))
    else:
        result["tasks"] = {}
        for case in options.cases:
            result["tasks"] |= measure(case, options.rounds)
        print(table(result["tasks"]))
        _write(options.out, result)


if __name__ == "__main__":
    sys.exit(main())
