"""Distribution matching (Yin et al. 2412.07772): rollouts in the loss, a critic updated 5 to 1."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.objectives.base import Aux, Term
from mmjax.objectives.model import NetworkModel
from mmjax.rng import named
from mmjax.samplers.base import scan
from mmjax.streams import StreamSpec
from tests.contracts.network import Plain


@dataclasses.dataclass(frozen=True)
class Distillation(Plain):
    spec: StreamSpec
    networks = ("student", "critic", "teacher")

    def inputs(self, batch, key):
        return {name: ({"x": self.spec.make(batch["x"])},) for name in self.networks}

    def terms(self, ctx, batch, key, update):
        ones, model = jnp.ones(batch["x"].shape[:1]), NetworkModel(ctx, "student")
        start = {"x": self.spec.make(batch["x"], time=ones)}
        made = scan(ctx.sampler, model, {"x": self.spec}, start, ("x",), named(key, "rollout"))["x"]
        time = jax.random.uniform(named(key, "time"), ones.shape)
        noisy, target = self.spec.process.corrupt(named(key, "noise"), made, time)
        seen = {n: ctx.apply(n, {"x": noisy})["x"].values for n in ("critic", "teacher")}
        if update == "critic":
            return {"flow": Term(self.spec.process.loss(seen["critic"], target, time))}, Aux()
        clean = {n: self.spec.process.estimate(v, noisy.values, time)[0] for n, v in seen.items()}
        better = jax.lax.stop_gradient(made.values - clean["critic"] + clean["teacher"])
        return {"match": Term(0.5 * jnp.square(made.values - better))}, Aux()
