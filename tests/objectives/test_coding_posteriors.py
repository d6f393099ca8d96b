"""A codec with a posterior: its terms against NumPy, who learns, and a critic of its samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.pixels import Pixels
from mmjax.codecs.posterior import Deterministic
from mmjax.models.patch_gan import PatchDiscriminator
from mmjax.objectives.base import Context, Request
from mmjax.objectives.coding import Coding
from mmjax.objectives.critic import Critic
from mmjax.objectives.errors import Squared
from mmjax.processes.clean import Clean
from mmjax.rng import named
from mmjax.streams import StreamSpec

SPEC = StreamSpec(
    "image", "image", (8, 8), 1, None, ("height", "width"), np.zeros((8, 8, 2), np.float32),
    codec=Pixels(), process=Clean(),
)  # fmt: skip
NETWORK = AutoencoderKL(channels=1, widths=(4, 8), blocks=1, latents=2, groups=2)
CRITIC = PatchDiscriminator(4, 1)
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)}
KEY = jax.random.key(0)


def objective(**fields):
    return Coding({"image": SPEC}, {"divergence": 1e-6}, **fields)


@pytest.fixture(scope="module")
def ctx():
    (images,) = objective().inputs(BATCH, KEY)["autoencoder"]
    params = {"autoencoder": jax.jit(NETWORK.init)(KEY, images)["params"]}
    return Context({"autoencoder": NETWORK}, params, params, {})


@pytest.mark.parametrize("errors", [{}, {"errors": {"l1": Squared()}}])
def test_terms(ctx, errors):
    game = objective(**errors)
    terms, aux = game.terms(ctx, game.prepare(ctx, BATCH, KEY), KEY, "all")
    images = BATCH["image"] / 127.5 - 1.0
    posterior = ctx.apply("autoencoder", jnp.asarray(images, jnp.float32), method="encode")
    latents = posterior.sample(named(KEY, "posterior"))
    difference = ctx.apply("autoencoder", latents, method="decode") - images
    expected = np.square(difference) if errors else np.abs(difference)
    np.testing.assert_allclose(terms["l1"].values, expected, atol=1e-5)
    mean, logvar = np.asarray(posterior.mean), np.asarray(posterior.logvar)
    nats = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum((1, 2, 3))
    np.testing.assert_allclose(terms["divergence"].values, nats / 64, rtol=1e-4)
    assert terms["divergence"].weight == 1e-6 and not aux.metrics


def test_every_parameter_learns(ctx):
    def loss(params):
        found = Context(ctx.networks, params, params, {})
        terms, _ = objective().terms(found, objective().prepare(found, BATCH, KEY), KEY, "all")
        return sum(jnp.sum(term.values) for term in terms.values())

    gradients = tree.flatten(jax.jit(jax.grad(loss))(ctx.params))
    assert [path for path, gradient in gradients.items() if not np.any(gradient)] == []


def test_a_critic_judges_what_is_made_of_a_sample(ctx):
    game = objective(critic=Critic(weight=0.3))
    (images,) = game.inputs(BATCH, KEY)["discriminator"]
    found = dict(jax.jit(CRITIC.init)(KEY, images))
    params = {**ctx.params, "discriminator": found.pop("params")}
    networks = {**ctx.networks, "discriminator": CRITIC}
    ctx = Context(networks, params, params, {"discriminator": found})
    terms, _ = game.terms(ctx, game.prepare(ctx, BATCH, KEY), KEY, "autoencoder")
    latents = ctx.apply("autoencoder", images, method="encode").sample(named(KEY, "posterior"))
    made = ctx.apply("autoencoder", latents, method="decode")
    judged, _ = ctx.apply("discriminator", made, train=True, mutable=list(found))
    np.testing.assert_allclose(
        terms["adversarial"].values, -judged[0][-1].mean((1, 2, 3)), rtol=1e-4, atol=1e-6
    )
    assert float(terms["adversarial"].weight) == pytest.approx(0.3)


def test_latents_without_spread_are_read_as_they_are():
    latents = Deterministic(jnp.ones((2, 3, 4)))
    np.testing.assert_array_equal(latents.read(KEY)[0], latents.read()[0])
    np.testing.assert_array_equal(latents.penalties(5)["divergence"], np.zeros(2))


def test_sample_gives_back_what_is_given(ctx):
    given = SPEC.encode(BATCH)
    found = objective().sample(ctx, Request({"image": given}, ("image",), 3), KEY)["image"]
    np.testing.assert_allclose(
        found.values, ctx.apply("autoencoder", given.values), rtol=1e-4, atol=1e-5
    )
