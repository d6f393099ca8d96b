"""A run that takes a second: linear regression from points that are computed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.modalities.action import Action
from mmjax.objectives.base import Aux, Term
from mmjax.training.batches import make_pipeline
from mmjax.training.interrupt import Interrupt
from mmjax.training.state import compiled_init
from mmjax.training.system import Data
from tests.training import toy

BATCH = 4


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Points and their targets."""

    length: int = 64

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        x = np.random.default_rng(index).normal(size=4).astype(np.float32)
        return {"x": x, "y": x[:2] * 2.0}


def pairs_error(ctx, batch, key, update):
    predicted, changed = ctx.apply("model", batch["x"], mutable=["counts"])
    aux = Aux(state=ctx.state + 1.0, mutable={"model": changed})
    return {"error": Term(jnp.square(predicted - batch["y"]))}, aux


def spoiled(when):
    """The same with a second term that is infinite where ``when(step, batch)`` says so."""

    def terms(ctx, batch, key, update):
        found, aux = pairs_error(ctx, batch, key, update)
        bad = jnp.where(when(ctx.step, batch), jnp.inf, 0.0)
        return {"fine": found["error"], "broken": Term(found["error"].values + bad)}, aux

    return terms


def system(terms_of=pairs_error, updates=None, **options):
    options = {"log_every": 2, "save_every": 4, **options}
    made = toy.system(toy.Toy(terms_of), updates, **options)
    return dataclasses.replace(
        made,
        config={"name": "toy"},
        modalities={"x": Action(4), "y": Action(2)},
        data=Data(train=Pairs(), batch_size=BATCH),
    )


def first_state(made):
    """The state at step 0."""
    return compiled_init(made)(make_pipeline(made).batch(0))


def at_step(state, step):
    """The state with another step and, in every float, other values."""
    changed = jax.tree.map(
        lambda x: x + 0.5 * step if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    return changed.replace(step=jnp.int32(step))


class StopAfter(Interrupt):
    """A request to stop that comes when it has been asked for a number of times."""

    def __init__(self, times):
        super().__init__()
        self.left = times

    @property
    def requested(self):
        self.left -= 1
        return self.left < 0
