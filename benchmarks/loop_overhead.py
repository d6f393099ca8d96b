"""What the loop costs beside the compiled step, and for how long an asynchronous save holds it up.

``python -m benchmarks.loop_overhead`` prints one JSON object. The loop is the real one, with data,
metrics, moving averages, checkpoints, requests to stop, limits on waits and the ledger; what it
trains is next to nothing, with as many arrays as a DiT-XL/2's state has, so that the time of a step
is the loop's. The same compiled step called by itself, on a batch that lies there, is its share.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import tempfile
import time
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import environment
from mmjax.modalities.action import Action
from mmjax.objectives.base import Aux, Term
from mmjax.sharding.mesh import make_mesh
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.loop import train
from mmjax.training.optimiser import AdamW, Schedule
from mmjax.training.placement import Placement
from mmjax.training.system import Data, System, Train, Update
from mmjax.training.workdir import Workdir
from mmjax.training.writers import read_metrics

SIZE, LAYERS, BATCH = 8, 18, 8
TERMS = 3  # each is logged for four parts of the noise levels too
WARM = 500  # steps before the clock counts, and between two saves


class _Layers(nn.Module):
    """Products, one after the other."""

    count: int
    width: int

    @nn.compact
    def __call__(self, x):
        for index in range(self.count):
            x = nn.Dense(self.width, name=f"layer_{index}")(x)
        return x


@dataclasses.dataclass(frozen=True)
class _Squares:
    """The squares of what a network makes of its input, as several terms."""

    whole_batch = False

    def inputs(self, batch, key):
        return {"model": (batch["x"],)}

    def init_state(self, batch):
        return jnp.zeros(())

    def prepare(self, ctx, batch, key):
        return batch

    def terms(self, ctx, batch, key, update):
        values, time = jnp.square(ctx.apply("model", batch["x"])), batch["x"][:, 0]
        return {f"square_{index}": Term(values, time=time) for index in range(TERMS)}, Aux()


@dataclasses.dataclass(frozen=True)
class _Points:
    """One point as often as it is asked for."""

    size: int

    def __len__(self):
        return 4096

    def __getitem__(self, index):
        return {"x": np.full(self.size, 0.5, np.float32)}


def system(layers: int, width: int, **train: Any) -> System:
    """Layers of this width, trained by AdamW."""
    return System(
        name="overhead",
        objective=_Squares(),
        updates={"main": Update(optimiser=AdamW(Schedule(1e-6)))},
        data=Data(train=_Points(width), batch_size=BATCH),
        train=Train(**train),
        networks={"model": _Layers(layers, width)},
        modalities={"x": Action(width)},
        config={"name": "overhead"},
    )


def loop_seconds(steps: int) -> dict[str, Any]:
    """Seconds a step of the loop, and of the compiled step called by itself.

    ``cpu`` is what the main thread computed, saves included, which a busy machine does not change.
    """
    made = system(LAYERS, SIZE, steps=WARM + steps, ema=0.999, save_every=WARM, evaluate_every=WARM)
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(made, Workdir(folder), evaluate=lambda *_: marks.append(time.thread_time()))
        rows = [row for row in read_metrics(Workdir(folder).metrics) if row["step"] > WARM]
    spans = [1 / row["steps_per_second"] for row in rows if "steps_per_second" in row]
    held_up = [row["goodput/checkpoint_seconds"] for row in rows if "goodput/share" in row]
    loop = {
        "median": statistics.median(spans),
        "least": min(spans),
        "cpu": (marks[-1] - marks[0]) / steps,
        "blocked_per_save": (held_up[-1] - held_up[0]) / (steps // WARM),
    }
    leaves = len(jax.tree.leaves(Placement(made, make_mesh(made.mesh)).abstract))
    return {"leaves": leaves, "loop": loop, "alone": _alone(made, steps)}


def _alone(made: System, steps: int) -> dict[str, float]:
    """The same of the compiled function, its metrics left where they are."""
    batch = {"x": np.full((BATCH, SIZE), 0.5, np.float32)}
    specs = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in batch.items()}
    placement = Placement(made, make_mesh(made.mesh), specs)
    state, step, batch = placement.begin(), placement.jit_step(), placement.put(batch)
    spans, part = [], 20
    for number in range((WARM + steps) // part):
        if number == WARM // part:
            cpu = time.thread_time()
        begin = time.perf_counter()
        for _ in range(part):
            state, logged = step(state, batch)
        jax.block_until_ready(logged)
        spans.append((time.perf_counter() - begin) / part)
    spans = spans[WARM // part :]
    return {
        "median": statistics.median(spans),
        "least": min(spans),
        "cpu": (time.thread_time() - cpu) / steps,
    }


def save_seconds(megabytes: int, saves: int) -> dict[str, float]:
    """For how long a save of a state of about this size blocks, beside a copy of it on the host."""
    layers = 16
    width = int((megabytes * 2**20 / 4 / 4 / layers) ** 0.5)  # parameters, two moments, averages
    made = system(layers, width, steps=1, ema=0.999)
    state = Placement(made, make_mesh(made.mesh)).begin()
    blocked, copied, cpu = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(pathlib.Path(folder), keep=1)
        for number in range(saves):
            state = jax.block_until_ready(jax.tree.map(jnp.copy, state))
            state = state.replace(step=jnp.int32(number))
            begin = time.perf_counter()
            copy = [np.array(leaf) for leaf in jax.tree.leaves(state)]
            copied.append(time.perf_counter() - begin)
            begin, computed = time.perf_counter(), time.thread_time()
            checkpoints.save(state)
            blocked.append(time.perf_counter() - begin)
            cpu.append(time.thread_time() - computed)
            checkpoints.wait()
        checkpoints.close()
    return {
        "megabytes": round(sum(x.nbytes for x in copy) / 2**20),
        "blocked": statistics.median(blocked[1:]),
        "blocked_least": min(blocked[1:]),
        "cpu": statistics.median(cpu[1:]),
        "copy": statistics.median(copied[1:]),
    }


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--saves", type=int, default=8)
    options = parser.parse_args()
    found = {
        "environment": environment(("jax", "flax", "orbax-checkpoint", "grain")),
        "steps": loop_seconds(options.steps),
        "saves": [save_seconds(size, options.saves) for size in options.megabytes],
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
