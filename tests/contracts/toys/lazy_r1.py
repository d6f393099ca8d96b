"""Lazy R1 (Karras et al. 1912.04958, appendix B): a penalty every n-th step, n times as strong."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.nn import softplus

from mmjax.objectives.base import Aux, Term
from tests.contracts.network import Plain


@dataclasses.dataclass(frozen=True)
class LazyR1(Plain):
    """Non-saturating players; ``r1`` is an update of the critic with an interval of its own."""

    gamma: float = 2.0
    every: int = 4
    networks = ("generator", "critic")

    def terms(self, ctx, batch, key, update):
        def judge(x):
            return ctx.apply("critic", x)[..., 0]

        if update == "r1":  # Mescheder et al. 1801.04406, equation 9
            slopes = jax.vmap(jax.grad(judge))(batch["x"])
            penalty = jnp.square(slopes).sum(-1)
            return {"penalty": Term(penalty, weight=0.5 * self.gamma * self.every)}, Aux()
        fake = judge(ctx.apply("generator", jax.random.normal(key, batch["x"].shape)))
        if update == "generator":
            return {"fool": Term(softplus(-fake))}, Aux()
        return {"real": Term(softplus(-judge(batch["x"]))), "fake": Term(softplus(fake))}, Aux()
