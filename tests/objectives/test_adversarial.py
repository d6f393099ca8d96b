"""The two players: losses and penalty against NumPy, whose moments move when, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.pixels import Pixels
from mmjax.errors import UserError
from mmjax.models.gan import Discriminator, Generator
from mmjax.objectives.adversarial import Adversarial
from mmjax.objectives.base import Context, Request
from mmjax.processes.clean import Clean
from mmjax.rng import named
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)
SPEC = StreamSpec(
    "image", "image", (8, 8), 1, None, ("height", "width"), np.zeros((8, 8, 2), np.float32),
    codec=Pixels(), process=Clean(),
)  # fmt: skip
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)}
NETWORKS = {
    "generator": Generator(channels=1, widths=(6, 4), start=2),
    "discriminator": Discriminator(widths=(4, 6), start=2),
}
GAME = Adversarial({"image": SPEC}, noise=3)


@pytest.fixture(scope="module")
def ctx():
    inputs = GAME.inputs(BATCH, KEY)
    found = {name: jax.jit(net.init)(KEY, *inputs[name]) for name, net in NETWORKS.items()}
    params = {name: variables["params"] for name, variables in found.items()}
    # Logits of some size, so that the losses differ from their value at zero.
    kernel = params["discriminator"]["logit"]["kernel"]
    params["discriminator"]["logit"]["kernel"] = 50.0 * kernel
    mutable = {name: {"batch_stats": v["batch_stats"]} for name, v in found.items()}
    return Context(NETWORKS, params, params, mutable)


def play(ctx, update, game=GAME):
    return jax.jit(lambda: game.terms(ctx, game.prepare(ctx, BATCH, KEY), KEY, update))()


def logits(ctx, values, moments=None):
    ctx = ctx if moments is None else dataclasses.replace(ctx, mutable={"discriminator": moments})
    found = ctx.apply("discriminator", values, train=True, mutable=["batch_stats"])
    return np.asarray(found[0], np.float64), found[1]


def made(ctx):
    noise = jax.random.normal(named(KEY, "noise"), (4, 3))
    return ctx.apply("generator", noise, train=True, mutable=["batch_stats"])[0]


@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
def test_losses(ctx, loss):
    game = dataclasses.replace(GAME, loss=loss)
    real, moments = logits(ctx, SPEC.encode(BATCH).values)
    fake, _ = logits(ctx, made(ctx), moments)
    terms, _ = play(ctx, "discriminator", game)
    soft = loss == "non_saturating"
    penalty = (lambda x: np.log1p(np.exp(x))) if soft else (lambda x: np.maximum(1 + x, 0))
    np.testing.assert_allclose(terms["real"].values, penalty(-real), rtol=1e-3)
    np.testing.assert_allclose(terms["made"].values, penalty(fake), rtol=1e-3)
    terms, _ = play(ctx, "generator", game)
    expected = penalty(-fake) if soft else -fake
    np.testing.assert_allclose(terms["generator"].values, expected, rtol=1e-3)


def test_each_update_moves_the_moments_of_its_own_player(ctx):
    _, aux = play(ctx, "generator")
    assert set(aux.mutable) == {"generator"}
    before, after = ctx.mutable["generator"], aux.mutable["generator"]
    assert not np.array_equal(
        before["batch_stats"]["norm_0"]["mean"], after["batch_stats"]["norm_0"]["mean"]
    )
    _, aux = play(ctx, "discriminator")
    assert set(aux.mutable) == {"discriminator"}
    # Real examples first, then made ones, each as a batch of their own.
    _, moments = logits(ctx, SPEC.encode(BATCH).values)
    _, moments = logits(ctx, made(ctx), moments)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        aux.mutable["discriminator"],
        moments,
    )


def test_the_discriminator_does_not_reach_into_the_generator(ctx):
    def loss(params):
        changed = dataclasses.replace(ctx, params=params)
        terms, _ = GAME.terms(changed, GAME.prepare(changed, BATCH, KEY), KEY, "discriminator")
        return sum(jnp.sum(term.values) for term in terms.values())

    gradient = jax.jit(jax.grad(loss))(ctx.params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["generator"]))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient["discriminator"]))


def test_the_penalty_is_the_squared_slope_in_due_steps_only(ctx):
    game = dataclasses.replace(GAME, r1=10.0, r1_every=4)
    terms, _ = play(ctx, "discriminator", game)
    real = SPEC.encode(BATCH).values
    _, moments = logits(ctx, real)
    steps = 1e-2 * jnp.eye(real.size).reshape(-1, *real.shape)
    judged = dataclasses.replace(ctx, mutable={"discriminator": moments})

    @jax.vmap
    def total(values):
        found = judged.apply("discriminator", values, train=True, mutable=["batch_stats"])
        return jnp.sum(found[0])

    slope = (total(real + steps) - total(real - steps)).reshape(real.shape) / 2e-2
    expected = 4 * np.square(slope).sum((1, 2, 3))
    np.testing.assert_allclose(terms["r1"].values, expected, rtol=0.05)
    assert terms["r1"].weight == 5.0
    terms, _ = play(dataclasses.replace(ctx, step=jnp.array(3)), "discriminator", game)
    assert not np.any(terms["r1"].values)


def test_samples_use_the_running_moments(ctx):
    found = GAME.sample(ctx, Request({}, ("image",), 2), KEY)["image"]
    expected = NETWORKS["generator"].apply(
        {"params": ctx.params["generator"], **ctx.mutable["generator"]},
        jax.random.normal(KEY, (2, 3)),
        train=False,
    )
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


def test_mistakes(ctx):
    with pytest.raises(UserError, match="config.updates.all.*generator, discriminator"):
        play(ctx, "all")
    with pytest.raises(UserError, match="from nothing"):
        GAME.sample(ctx, Request({"image": SPEC.encode(BATCH)}, ("image",), 4), KEY)
