"""The ``:tiny`` form of every config, trained on one batch of its own data; once for all tests."""

import functools
import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from mmjax import config as configs
from mmjax.builder import TARGET
from mmjax.training.batches import make_pipeline
from mmjax.training.restore import untrained, without_data
from mmjax.training.state import State
from mmjax.training.step import make_step
from mmjax.training.system import System, build
from tests.harness import mean

FOLDER = pathlib.Path(__file__).parents[1] / "configs"
NAMES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix()
    for path in FOLDER.rglob("*.py")
    if "ablations" not in path.parts
)
STEPS = 5


def load(name: str, variant: str = "") -> System:
    """The system of a config such as ``image/gan``, in its full form or in a variant.

    Caches of latents, which other runs make, are left out.
    """
    config = configs.load(f"{FOLDER}/{name}.py" + (variant and f":{variant}"))
    cached = configs.plain(config)["data"]["train"][TARGET] == "mmjax.data.cache:Cached"
    return build(without_data(config) if cached else config)


@functools.cache
def tiny(name: str) -> tuple[System, Mapping[str, np.ndarray]]:
    """The system of the tiny form and its first batch."""
    system = load(name, "tiny")
    return system, make_pipeline(system).batch(0)


def logged(name: str, steps: int = STEPS) -> list[dict[str, float]]:
    """What each step logs when the tiny form sees its first batch again and again."""
    return trained(name, steps)[1]


@functools.cache
def trained(name: str, steps: int = STEPS) -> tuple[State, list[dict[str, float]]]:
    """The tiny form after some steps on its first batch, and what each logged."""
    system, batch = tiny(name)
    step, state = jax.jit(make_step(system), donate_argnums=0), untrained(system)
    lines = []
    for _ in range(steps):
        state, values = step(state, batch)
        lines.append({name: mean(values, name) for name in values})
    return state, lines
