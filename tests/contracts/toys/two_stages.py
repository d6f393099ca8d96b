"""Two stages (after Li et al. 2301.12597): what the first learned, frozen, feeds new networks."""

import dataclasses

import jax.numpy as jnp
from ml_collections import ConfigDict

from mmjax.objectives.base import Aux, Term
from tests.contracts.network import Plain


@dataclasses.dataclass(frozen=True)
class Chain(Plain):
    """Networks applied one after the other restore the input."""

    chain: tuple[str, ...]

    def inputs(self, batch, key):
        return {n: (batch["x"][:, :2] if at else batch["x"],) for at, n in enumerate(self.chain)}

    def terms(self, ctx, batch, key, update):
        x = batch["x"]
        for name in self.chain:
            x = ctx.apply(name, x)
        return {"error": Term(jnp.square(x - batch["x"]))}, Aux()


def get_config():
    dense = {n: {"_target_": "flax.linen:Dense", "features": n} for n in (2, 4)}
    adam = {"_target_": "mmjax.training.optimiser:AdamW", "schedule": {"peak": 0.1}}
    config = ConfigDict({"name": "two_stages", "data": {"train": None}, "train": {"ema": 0.9}})
    config.networks = {"encoder": dense[2], "decoder": dense[4]}
    config.objective = {"_target_": f"{__name__}:Chain", "chain": ("encoder", "decoder")}
    config.updates = {"all": {"optimiser": adam}}
    wiring = {"order": 1, "steps": 2, "init_copy": {"student": "decoder"}}
    wiring["networks"] = {"connector": dense[2], "student": dense[4], "decoder": None}
    wiring["objective"] = {"chain": ("encoder", "connector", "student")}
    wiring["updates"] = {"all": {"params": "(connector|student)/.*"}}
    config.stages = {"learn": {"order": 0, "steps": 3}, "connect": wiring}
    return config
