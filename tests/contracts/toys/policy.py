"""Group-relative policy optimisation (Shao et al. 2402.03300): four updates of each rollout."""

import dataclasses

import jax.numpy as jnp

from mmjax.objectives.base import Aux, Term
from mmjax.objectives.model import NetworkModel
from mmjax.samplers.base import scan
from mmjax.streams import StreamSpec
from tests.contracts.network import Plain


@dataclasses.dataclass(frozen=True)
class GroupPolicy(Plain):
    spec: StreamSpec
    networks = ("policy", "reference")

    def inputs(self, batch, key):
        return {name: ({"codes": self.spec.make(batch["x"])},) for name in self.networks}

    def log_likelihood(self, ctx, network, codes):
        clean, process = self.spec.make(codes), self.spec.process
        seen = ctx.apply(network, {"codes": process.observe(clean)})["codes"].values
        return -process.loss(seen, codes, clean.time)

    def prepare(self, ctx, batch, key):
        start = {"codes": self.spec.make(batch["x"], time=jnp.ones(batch["x"].shape[:1]))}
        model, specs = NetworkModel(ctx, "policy"), {"codes": self.spec}
        codes = scan(ctx.sampler, model, specs, start, ("codes",), key)["codes"].values
        reward = jnp.mean(codes == 0, axis=-1).reshape(-1, 4, 1)  # groups of four
        gain = (reward - reward.mean(1, keepdims=True)) / (reward.std(1, keepdims=True) + 1e-4)
        old = self.log_likelihood(ctx, "policy", codes)
        return {"codes": codes, "gain": gain.reshape(-1, 1), "old": old}

    def terms(self, ctx, batch, key, update):
        new, kept = (self.log_likelihood(ctx, name, batch["codes"]) for name in self.networks)
        ratio, gain, penalty = jnp.exp(new - batch["old"]), batch["gain"], jnp.expm1(kept - new)
        surrogate = Term(-jnp.minimum(ratio * gain, jnp.clip(ratio, 0.8, 1.2) * gain), per="sample")
        return {"gain": surrogate, "kl": Term(penalty - (kept - new), weight=0.04)}, Aux()
