"""Occupancy: its terms against NumPy, gradients to every parameter, what it needs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.vec_set import VecSet
from mmjax.errors import UserError
from mmjax.objectives.base import Context, Request
from mmjax.objectives.occupancy import Occupancy
from mmjax.processes.clean import Clean
from mmjax.rng import named
from tests.contracts.network import make_spec

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
STREAMS = {
    "surface": make_spec("surface", (9,), Clean(), channels=3),
    "queries": make_spec("queries", (4,), Clean(), channels=4),
}
OBJECTIVE = Occupancy(STREAMS)
NETWORKS = {"autoencoder": VecSet(latents=3, size=2, width=8, depth=1, heads=1)}
PLACES = RNG.uniform(-1, 1, (2, 4, 3))
INSIDE = np.array([[0, 1, 1, 0], [1, 0, 1, 0]])
BATCH = {
    "surface": RNG.uniform(-1, 1, (2, 9, 3)).astype(np.float32),
    "queries": np.concatenate([PLACES, INSIDE[..., None]], -1).astype(np.float32),
}


@pytest.fixture(scope="module")
def ctx():
    (arguments,) = OBJECTIVE.inputs(BATCH, KEY).values()
    params = {"autoencoder": jax.jit(NETWORKS["autoencoder"].init)(KEY, *arguments)["params"]}
    return Context(NETWORKS, params, params, {})


def test_terms(ctx):
    found, aux = OBJECTIVE.terms(ctx, OBJECTIVE.prepare(ctx, BATCH, KEY), KEY, "all")
    posterior = ctx.apply("autoencoder", jnp.asarray(BATCH["surface"]), method="encode")
    latents = posterior.sample(named(KEY, "posterior"))
    places = jnp.asarray(PLACES, jnp.float32)
    logits = np.asarray(ctx.apply("autoencoder", latents, places, method="decode"))
    chance = 1 / (1 + np.exp(-logits))
    entropy = -np.log(np.where(INSIDE == 1, chance, 1 - chance))
    np.testing.assert_allclose(found["occupancy"].values, entropy, rtol=1e-4)
    mean, logvar = np.asarray(posterior.mean), np.asarray(posterior.logvar)
    nats = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar)
    np.testing.assert_allclose(found["divergence"].values, nats, rtol=1e-4)
    assert found["divergence"].weight == 1e-3
    assert float(aux.metrics["right"]) == np.mean((logits > 0) == (INSIDE == 1))


def test_every_parameter_learns(ctx):
    def loss(params):
        found = Context(NETWORKS, params, params, {})
        terms, _ = OBJECTIVE.terms(found, OBJECTIVE.prepare(found, BATCH, KEY), KEY, "all")
        return sum(jnp.sum(term.values) for term in terms.values())

    gradients = tree.flatten(jax.jit(jax.grad(loss))(ctx.params))
    assert [path for path, gradient in gradients.items() if not np.any(gradient)] == []


def test_questions_are_answered(ctx):
    given = {name: spec.encode(BATCH) for name, spec in STREAMS.items()}
    found = OBJECTIVE.sample(ctx, Request(given, ("queries",), 2), KEY)["queries"].values
    logits = ctx.apply("autoencoder", given["surface"].values, given["queries"].values[..., :3])
    np.testing.assert_allclose(found[..., 3], jax.nn.sigmoid(logits), rtol=1e-4)
    np.testing.assert_allclose(found[..., :3], PLACES, rtol=1e-6)
    with pytest.raises(UserError, match="give it 'surface' and 'queries'"):
        OBJECTIVE.sample(ctx, Request({"surface": given["surface"]}, ("queries",), 2), KEY)
    with pytest.raises(ValueError, match="surface must be one of"):
        Occupancy({"queries": STREAMS["queries"]})
