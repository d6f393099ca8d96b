"""Reconstruction: its terms against NumPy, gradients to every parameter, what it cannot do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.pixels import Pixels
from mmjax.errors import UserError
from mmjax.objectives.base import Context, Request
from mmjax.objectives.reconstruction import Reconstruction
from mmjax.processes.clean import Clean
from mmjax.rng import named
from mmjax.streams import StreamSpec

SPEC = StreamSpec(
    "image", "image", (8, 8), 1, None, ("height", "width"), np.zeros((8, 8, 2), np.float32),
    codec=Pixels(), process=Clean(),
)  # fmt: skip
NETWORK = AutoencoderKL(channels=1, widths=(4, 8), blocks=1, latents=2, groups=2)
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)}
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def ctx():
    (images,) = Reconstruction({"image": SPEC}).inputs(BATCH, KEY)["autoencoder"]
    params = {"autoencoder": jax.jit(NETWORK.init)(KEY, images)["params"]}
    return Context({"autoencoder": NETWORK}, params, params, {})


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_terms(ctx, error):
    objective = Reconstruction({"image": SPEC}, error=error)
    prepared = objective.prepare(ctx, BATCH, KEY)
    terms, _ = objective.terms(ctx, prepared, KEY, "all")
    images = BATCH["image"] / 127.5 - 1.0
    posterior = ctx.apply("autoencoder", jnp.asarray(images, jnp.float32), method="encode")
    latents = posterior.sample(named(KEY, "posterior"))
    difference = ctx.apply("autoencoder", latents, method="decode") - images
    expected = np.abs(difference) if error == "l1" else np.square(difference)
    np.testing.assert_allclose(terms["image"].values, expected, atol=1e-5)
    mean, logvar = np.asarray(posterior.mean), np.asarray(posterior.logvar)
    nats = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum((1, 2, 3))
    np.testing.assert_allclose(terms["divergence"].values, nats / 64, rtol=1e-4)
    assert terms["divergence"].weight == 1e-6


def test_every_parameter_learns(ctx):
    objective = Reconstruction({"image": SPEC})

    def loss(params):
        found = Context(ctx.networks, params, params, {})
        terms, _ = objective.terms(found, objective.prepare(found, BATCH, KEY), KEY, "all")
        return sum(jnp.sum(term.values) for term in terms.values())

    gradients = tree.flatten(jax.jit(jax.grad(loss))(ctx.params))
    assert [path for path, gradient in gradients.items() if not np.any(gradient)] == []


def test_sample_gives_back_what_is_given(ctx):
    objective = Reconstruction({"image": SPEC})
    given = SPEC.encode(BATCH)
    found = objective.sample(ctx, Request({"image": given}, ("image",), 3), KEY)["image"]
    np.testing.assert_allclose(
        found.values, ctx.apply("autoencoder", given.values), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(UserError, match="give it 'image'"):
        objective.sample(ctx, Request({}, ("image",), 3), KEY)


@pytest.mark.parametrize("fields", [{"error": "l3"}, {"stream": "sound"}])
def test_unknown_choices_are_refused(fields):
    with pytest.raises((UserError, ValueError), match=next(iter(fields))):
        Reconstruction({"image": SPEC}, **fields)
