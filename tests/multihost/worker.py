"""One process of a small run: ``python -m tests.multihost.worker WORKDIR '{"steps": 8}' [FLAGS]``.

Linear regression whose rows of metrics show which examples a step has seen and which random
numbers it has drawn, so that two runs can be told to have had the same ones.
"""

import argparse
import dataclasses
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.modalities.action import Action
from mmjax.objectives.base import Aux, Term
from mmjax.sharding.mesh import MeshSpec
from mmjax.sharding.multihost import joined
from mmjax.training.control import watched
from mmjax.training.loop import train
from mmjax.training.system import Data
from mmjax.training.workdir import Workdir
from tests.training import toy

BATCH = 4


@dataclasses.dataclass(frozen=True)
class Points:
    """Points and their targets.

    Attributes:
      seconds: that reading one takes.
      hang: index of one that never comes.
      broken: index of one that cannot be used.
    """

    seconds: float | int = 0.0
    hang: int = -1
    broken: int = -1

    def __len__(self):
        return 64

    def __getitem__(self, index):
        time.sleep(3600.0 if index == self.hang else self.seconds)
        if index == self.broken:
            raise UserError(f"point {index}: cannot be read")
        x = np.random.default_rng(index).integers(-8, 8, 4).astype(np.float32)
        return {"x": x, "y": x[:2] * 2.0 + index}  # whole numbers, whose sums are exact


def terms(ctx, batch, key, update):
    predicted, changed = ctx.apply("model", batch["x"], mutable=["counts"])
    seen = {
        "seen": (batch["y"] * jnp.arange(1, BATCH + 1)[:, None]).sum(),
        "drawn": jax.random.randint(key, (), 0, 2**20).astype(jnp.float32),
    }
    aux = Aux(state=ctx.state + 1.0, mutable={"model": changed}, metrics=seen)
    return {"error": Term(jnp.square(predicted - batch["y"]) * 1e-3)}, aux


def system(points: Points, mesh: MeshSpec, **options):
    made = toy.system(toy.Toy(terms), None, log_every=1, **options)
    return dataclasses.replace(
        made,
        config={"name": "toy"},
        modalities={"x": Action(4), "y": Action(2)},
        data=Data(train=points, batch_size=BATCH, max_bad_share=0.0),
        mesh=mesh,
    )


def slow(system, state, step, workdir, writer):
    """A hook that takes a while."""
    print(f"evaluates step {step}", flush=True)
    time.sleep(2.0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir")
    parser.add_argument("options", type=json.loads)
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process", type=int)
    given = parser.parse_args()
    options = dict(given.options)
    points, mesh = Points(**options.pop("points", {})), MeshSpec(**options.pop("mesh", {}))
    made = system(points, mesh, **options)
    limits = made.train.wait_limit, made.train.phase_limit
    others = joined(given.coordinator, given.processes, given.process, limit=limits[0])
    with watched(*limits, others) as (waits, interrupt):
        hooks = {"evaluate": slow, "interrupt": interrupt, "waits": waits}
        state, stopped = train(made, Workdir(given.workdir), **hooks)
        print(f"ends at step {int(state.step)}, stopped: {stopped}", flush=True)


if __name__ == "__main__":
    main()
