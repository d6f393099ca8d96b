"""What codecs learn in some hundred steps, and how fast they are beside their public references.

    python -m benchmarks.codecs learn --steps 400 --out benchmarks/codecs_learn.json
    python -m benchmarks.codecs speed --rounds 7 --out benchmarks/codecs_speed.json

``learn`` trains the ``:tiny`` form of every config whose objective is a reconstruction and judges
it on held-out examples, beside the mean of the training examples (pictures) or their mean spectrum
(sound). ``speed`` times encoding and decoding with the same random weights in neighbouring runs.
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
OBJECTIVES = ("Reconstruction", "Coding", "BalancedCoding")
CLIPS = 32  # held-out examples
WARM = 20  # training batches whose mean is the baseline
MEL = {64: 10, 256: 20, 1024: 40}  # bins of each window
BASELINE = "baseline "


def codecs() -> list[str]:
    """The configs whose objective is to give back what was given."""
    from mmjax import config as configs

    names = []
    for path in sorted(ROOT.rglob("*.py")):
        if "ablations" not in path.parts:
            config = configs.plain(configs.load(f"{path}:tiny"))
            if config["objective"]["_target_"].partition(":")[2] in OBJECTIVES:
                names.append(path.relative_to(ROOT).with_suffix("").as_posix())
    return names


def learn(name: str, steps: int) -> dict[str, float]:
    """Trains a tiny form; figures of its reconstructions and of the baseline, held-out."""
    import jax

    from mmjax import config as configs
    from mmjax.objectives.base import Request
    from mmjax.training.batches import make_pipeline
    from mmjax.training.held_out import held_out_sets
    from mmjax.training.restore import untrained
    from mmjax.training.state import sampling_context
    from mmjax.training.step import make_step
    from mmjax.training.system import build

    system = build(configs.load(f"{ROOT / name}.py:tiny"))
    spec = system.streams[system.objective.stream]
    pipeline, step = make_pipeline(system), jax.jit(make_step(system), donate_argnums=0)
    state, seen = untrained(system), []
    for index in range(steps):
        batch = pipeline.batch(index)
        seen += [batch[spec.field]] if index < WARM else []
        state, logged = step(state, batch)
    ctx = sampling_context(system, state)

    @jax.jit
    def through(batch):
        given = {spec.name: spec.encode(batch)}
        request = Request(given, (spec.name,), len(batch[spec.field]))
        made = system.objective.sample(ctx, request, jax.random.key(0))[spec.name].values
        return made if spec.codec is None else spec.codec.decode(made)

    (held_out,) = held_out_sets(system, clips=CLIPS).values()
    real = [np.asarray(batch[spec.field]) for batch in held_out]
    made = [np.asarray(through({spec.field: values})) for values in real]
    real, made = np.concatenate(real).astype(np.float32), np.concatenate(made)
    judge = _sound if spec.field == "audio" else _picture
    figures = judge(real, made, np.concatenate(seen).astype(np.float32), spec.modality)
    if "perplexity" in logged:
        total, count = logged["perplexity"]
        figures["codes in even use"] = float(total / count)
    return figures


def _picture(real, made, seen, modality) -> dict[str, float]:
    """Peak signal to noise ratio in decibels and structural similarity, means over examples."""
    figures = {}
    mean = np.broadcast_to(seen.mean(0), real.shape)
    for label, guess in (("", np.clip(made, 0, 255)), (BASELINE, mean)):
        error = np.square(real - guess).mean(axis=tuple(range(1, real.ndim)))
        figures[f"{label}PSNR"] = float(np.mean(10 * np.log10(255**2 / error)))
        figures[f"{label}SSIM"] = _similarity(real, guess)
    return figures


def _similarity(one: np.ndarray, other: np.ndarray) -> float:
    """SSIM (Wang et al. 2004, eq. 13) over windows of 7 x 7 pixels of each frame and channel."""
    from scipy.ndimage import uniform_filter

    size = (1,) * (one.ndim - 3) + (7, 7, 1)
    one, other = one.astype(np.float64), other.astype(np.float64)
    mean, other_mean = uniform_filter(one, size), uniform_filter(other, size)
    spread = uniform_filter(one * one, size) - mean**2
    other_spread = uniform_filter(other * other, size) - other_mean**2
    both = uniform_filter(one * other, size) - mean * other_mean
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean * other_mean + low) / (mean**2 + other_mean**2 + low)
    return float(np.mean(light * (2 * both + high) / (spread + other_spread + high)))


def _sound(real, made, seen, modality) -> dict[str, float]:
    """Mean absolute differences of mel spectrograms in decimal logarithms; the STFT distance.

    Of the latter the median, for it is relative, and some examples are silent; its baseline is
    silence.
    """
    import jax

    from mmjax.codecs.audio.distances import MultiScaleStft

    own, others, wrong = (_log_mels(x, modality.rate) for x in (real, made, seen))
    stft = jax.jit(MultiScaleStft(tuple(MEL)))
    pairs = list(zip(own, others, wrong, strict=True))
    spectra = [mean.mean((0, 1), keepdims=True) for _, _, mean in pairs]
    return {
        "mel distance": float(np.mean([np.abs(a - b).mean() for a, b, _ in pairs])),
        f"{BASELINE}mel distance": float(
            np.mean([np.abs(a - mean).mean() for a, mean in zip(own, spectra, strict=True)])
        ),
        "STFT distance": float(np.median(stft(None, made, real))),
        f"{BASELINE}STFT distance": float(np.median(stft(None, 0 * made, real))),
    }


def _log_mels(sound: np.ndarray, rate: int) -> list[np.ndarray]:
    """Of each window, ``[B, T, C, bins]``."""
    import jax.numpy as jnp

    from mmjax.codecs.audio.distances import magnitudes
    from mmjax.codecs.audio.mel import mel_filters

    found = []
    for window, bins in MEL.items():
        power = np.asarray(magnitudes(jnp.asarray(sound), window)).swapaxes(2, 3)
        mels = power @ mel_filters(rate, window, bins).T
        found.append(np.log10(np.maximum(mels, 1e-5)))
    return found


def _learned(results: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| config | reconstruction | baseline |", "|---|---|---|"]
    for name, figures in results.items():
        cells = {BASELINE: [], "": []}
        for key, value in figures.items():
            label = BASELINE if key.startswith(BASELINE) else ""
            cells[label].append(f"{key.removeprefix(label)} {value:.3g}")
        lines.append(f"| {name} | {', '.join(cells[''])} | {', '.join(cells[BASELINE])} |")
    return "\n".join(lines)


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
        result["figures"] = {}
        for name in options.configs or codecs():
            result["figures"][name] = learn(name, options.steps)
            print(name, result["figures"][name], flush=True)
        print(_learned(result["figures"]))
    else:
        result["tasks"] = {}
        for case in options.cases:
            result["tasks"] |= measure(case, options.rounds)
        print(table(result["tasks"]))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
