"""VQ-GAN (Esser et al. 2012.09841): an adaptive weight from gradients, a codebook of averages."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.objectives.base import Aux, Term
from mmjax.tree import flatten, unflatten
from tests.contracts.network import Plain


class Generator(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        z = nn.Dense(2, name="encoder")(x)
        book = self.variable("codebook", "stats", jnp.array, ((1.0, 1, 0), (1, 0, 1), (1, -1, -1)))
        codes = book.value[:, 1:] / book.value[:, :1]
        hits = jax.nn.one_hot(jnp.square(z[:, None] - codes).sum(-1).argmin(-1), 3)
        if train:  # Razavi et al. 1906.00446, equation 2
            book.value = 0.9 * book.value + 0.1 * hits.T @ jnp.insert(z, 0, 1.0, axis=1)
        return nn.Dense(4, False, name="last")(z + jax.lax.stop_gradient(hits @ codes - z))


class VQGAN(Plain):
    networks = ("generator", "critic")

    def terms(self, ctx, batch, key, update):
        def players(kernel):
            params = unflatten(flatten(ctx.params) | {"generator/last/kernel": kernel})
            made, new = ctx.apply("generator", batch["x"], True, params=params, mutable="codebook")
            return (jnp.abs(made - batch["x"]), -ctx.apply("critic", made)), new

        (error, critique), new = players(kernel := ctx.params["generator"]["last"]["kernel"])
        if update == "critic":
            margins = 1 - jnp.stack([ctx.apply("critic", batch["x"]), critique], axis=1)
            return {"hinge": Term(nn.relu(margins))}, Aux()
        slopes = jax.jacrev(lambda kernel: [loss.mean() for loss in players(kernel)[0]])(kernel)
        ratio = jnp.linalg.norm(slopes[0]) / (jnp.linalg.norm(slopes[1]) + 1e-4)  # equation 7
        weighed = Term(critique, weight=jax.lax.stop_gradient(jnp.clip(ratio, 0.0, 1e4)))
        return {"error": Term(error), "critique": weighed}, Aux(mutable={"generator": new})
