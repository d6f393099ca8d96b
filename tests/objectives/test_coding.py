"""A codec's loss: its terms, the adaptive weight, the critic's turn, every quantiser's config."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import config as configs
from mmjax import tree
from mmjax.codecs.audio.encodec import Encodec
from mmjax.codecs.pixels import Pixels
from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.vq import VQAutoencoder
from mmjax.errors import UserError
from mmjax.models.patch_gan import PatchDiscriminator
from mmjax.objectives.base import Context, Request
from mmjax.objectives.coding import Coding
from mmjax.objectives.critic import Critic
from mmjax.objectives.errors import Absolute, Squared
from mmjax.processes.clean import Clean
from mmjax.streams import StreamSpec
from mmjax.training.restore import abstract_state, declared_batch
from mmjax.training.step import make_step
from mmjax.training.system import build
from tests.tiny import FOLDER

SPEC = StreamSpec(
    "image", "image", (8, 8), 1, None, ("height", "width"), np.zeros((8, 8, 2), np.float32),
    codec=Pixels(), process=Clean(),
)  # fmt: skip
BATCH = {"image": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)}
VALUES = jnp.asarray(BATCH["image"], jnp.float32) / 127.5 - 1.0
KEY = jax.random.key(0)
PENALTIES = {"commitment": 0.25, "codebook": 1.0}
LAST = "decoder/conv_out/kernel"
CODEC = VQAutoencoder(
    Nearest(16, 4), 4, channels=1, widths=(2, 4), blocks=0, latents=3, groups=2, attention=(),
    middle=False,
)  # fmt: skip
NETWORKS = {"autoencoder": CODEC, "discriminator": PatchDiscriminator(4, 1)}
CRITIC = Critic(weight=0.8, last=LAST)


def objective(**fields):
    return Coding({"image": SPEC}, PENALTIES, **fields)


@pytest.fixture(scope="module")
def ctx():
    """At step 5, every parameter drawn: logits and slopes of some size, and no zeros."""
    inputs, generator = objective(critic=CRITIC).inputs(BATCH, KEY), np.random.default_rng(0)

    def draw(leaf):
        spread = max(np.prod(leaf.shape[:-1]), 1) ** -0.5
        return jnp.asarray(1.5 * spread * generator.normal(size=leaf.shape), jnp.float32)

    shapes = {
        name: dict(jax.eval_shape(net.init, KEY, *inputs[name])) for name, net in NETWORKS.items()
    }
    params = jax.tree.map(draw, {name: found.pop("params") for name, found in shapes.items()})
    mutable = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
    return Context(NETWORKS, params, params, mutable, step=5)


def play(ctx, update="autoencoder", **fields):
    game = objective(**fields)
    return jax.jit(lambda: game.terms(ctx, game.prepare(ctx, BATCH, KEY), KEY, update))()


def given_back(ctx):
    return jax.jit(lambda: ctx.apply("autoencoder", VALUES))()


def judged(ctx, values, moments):
    """The critic's logits in double precision, and its moments."""
    mutable = {**ctx.mutable, "discriminator": moments}
    ctx = dataclasses.replace(ctx, mutable=mutable)
    judge = jax.jit(lambda x: ctx.apply("discriminator", x, train=True, mutable=["batch_stats"]))
    verdicts, moments = judge(values)
    return np.asarray(verdicts[0][-1], np.float64), moments


def test_terms_are_the_published_ones(ctx):
    terms, aux = play(ctx, errors={"l1": Absolute(0.5), "l2": Squared()})
    variables = {"params": ctx.params["autoencoder"]}
    found = jax.jit(lambda: CODEC.apply(variables, VALUES, method="encode"))()
    vectors = variables["params"]["quantiser"]["codebook"][found.codes]
    difference = jax.jit(lambda: CODEC.apply(variables, vectors, method="decode"))() - VALUES
    np.testing.assert_allclose(terms["l1"].values, np.abs(difference), atol=1e-5)
    np.testing.assert_allclose(terms["l2"].values, difference**2, atol=1e-5)
    distance = np.square(found.mean - vectors).mean(-1)
    for name in PENALTIES:
        np.testing.assert_allclose(terms[name].values, distance, rtol=1e-4, atol=1e-6)
    weights = {name: float(term.weight) for name, term in terms.items()}
    assert weights == {"l1": 0.5, "l2": 1.0, **PENALTIES}
    shares = np.bincount(found.codes.reshape(-1), minlength=16) / found.codes.size
    expected = np.exp(-sum(share * np.log(share) for share in shares if share))
    assert aux.metrics["perplexity"] == pytest.approx(expected, rel=1e-5)


def test_the_adaptive_weight_balances_the_last_layer(ctx):
    terms, aux = play(ctx, critic=CRITIC)

    @jax.jit
    @jax.jacobian
    def pulls(kernel):
        flat = tree.flatten(ctx.params)
        params = tree.unflatten({**flat, f"autoencoder/{LAST}": kernel})
        found = dataclasses.replace(ctx, params=params)
        terms = objective(critic=CRITIC).terms(found, {"values": VALUES}, KEY, "autoencoder")[0]
        return {name: jnp.mean(terms[name].values) for name in ("l1", "adversarial")}

    kernel = tree.flatten(ctx.params)[f"autoencoder/{LAST}"]
    found = {name: np.linalg.norm(pull) for name, pull in pulls(kernel).items()}
    expected = 0.8 * found["l1"] / (found["adversarial"] + 1e-4)
    np.testing.assert_allclose(terms["adversarial"].weight, expected, rtol=1e-3)
    assert found["l1"] > 1e-3 and found["adversarial"] > 1e-3
    assert "discriminator" not in aux.mutable


def test_without_a_last_layer_the_weight_is_the_critics_own(ctx):
    found = play(ctx, critic=Critic(weight=0.7, loss="least_squares"))[0]["adversarial"]
    made = given_back(ctx)
    logits, _ = judged(ctx, made, ctx.mutable["discriminator"])
    np.testing.assert_allclose(found.values, ((1 - logits) ** 2).mean((1, 2, 3)), rtol=1e-4)
    assert float(found.weight) == pytest.approx(0.7)


@pytest.mark.parametrize("loss", ["hinge", "least_squares", "non_saturating"])
def test_the_critics_turn(ctx, loss):
    terms, aux = play(ctx, "discriminator", critic=Critic(loss))
    on_real, moments = judged(ctx, VALUES, ctx.mutable["discriminator"])
    made = given_back(ctx)
    on_made, moments = judged(ctx, made, moments)
    rules = {
        "hinge": (lambda x: np.maximum(0, 1 - x), lambda x: np.maximum(0, 1 + x)),
        "least_squares": (lambda x: (x - 1) ** 2, lambda x: x**2),
        "non_saturating": (lambda x: np.log1p(np.exp(-x)), lambda x: np.log1p(np.exp(x))),
    }[loss]
    for name, logits, rule in zip(("real", "made"), (on_real, on_made), rules, strict=True):
        np.testing.assert_allclose(terms[name].values, rule(logits).mean((1, 2, 3)), rtol=1e-4)
    assert set(aux.mutable) == {"discriminator"}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        aux.mutable["discriminator"], moments,
    )  # fmt: skip


@pytest.mark.parametrize(("starts", "share"), [(6, 0.0), (5, 0.5)])
def test_the_critic_waits_for_its_step(ctx, starts, share):
    game = objective(critic=Critic(weight=0.8, starts=starts))

    @functools.partial(jax.jit, static_argnums=0)
    def weights(update):
        terms, _ = game.terms(ctx, {"values": VALUES}, KEY, update)
        return {name: term.weight for name, term in terms.items()}

    assert weights("discriminator") == {"real": share, "made": share}
    assert float(weights("autoencoder")["adversarial"]) == pytest.approx(1.6 * share)


def test_sample_gives_back_what_is_given(ctx):
    given = SPEC.encode(BATCH)
    request = Request({"image": given}, ("image",), 3)
    found = jax.jit(lambda: objective().sample(ctx, request, KEY)["image"])()
    np.testing.assert_allclose(found.values, given_back(ctx), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="give it 'image'"):
        objective().sample(ctx, Request({}, ("image",), 3), KEY)


def test_what_segments_were_divided_by_reaches_the_decoder():
    codec = Encodec(
        rate=100, channels=1, filters=2, ratios=(4,), memories=1, features=4, levels=2,
        vocabulary=8, causal=False, norm="group", seconds=0.4, overlap=0.1, even=True,
    )  # fmt: skip
    sound = jnp.asarray(np.random.default_rng(0).normal(0, 0.05, (2, 76, 1)), jnp.float32)
    spec = StreamSpec("audio", "audio", (76,), 1, None, ("time",), np.zeros((76, 1), np.float32))
    variables = dict(jax.jit(codec.init)(KEY, sound))
    params = {"autoencoder": variables.pop("params")}
    ctx = Context({"autoencoder": codec}, params, params, {"autoencoder": variables})
    game = Coding({"audio": spec}, {"commitment": 1.0}, stream="audio")
    request = Request({"audio": spec.encode({"audio": sound})}, ("audio",), 2)
    found = game.sample(ctx, request, KEY)["audio"].values
    np.testing.assert_allclose(found, ctx.apply("autoencoder", sound), rtol=1e-4, atol=1e-6)


def test_mistakes_are_named(ctx):
    with pytest.raises(UserError, match="losses are commitment, codebook; .* \\(codebook\\)"):
        Coding({"image": SPEC}, {"commitment": 0.25}).terms(ctx, {"values": VALUES}, KEY, "all")
    with pytest.raises(ValueError, match="commitment names two terms"):
        objective(errors={"commitment": Absolute()})
    with pytest.raises(ValueError, match="no parameter 'decoder/last'"):
        play(ctx, critic=Critic(last="decoder/last"))


@pytest.mark.parametrize("variant", ["ema", "factorised", "gumbel", "rounded", "signs"])
def test_every_quantiser_trains_from_its_config(variant):
    """One step by shapes alone: losses have weights, and codebooks that move are kept."""
    config = configs.plain(configs.load(f"{FOLDER}/image/vq_gan.py:{variant}"))
    config["networks"]["autoencoder"] |= {"widths": (8,), "blocks": 0}
    system = build(config)
    state = abstract_state(system)
    new, logged = jax.eval_shape(make_step(system), state, declared_batch(system))
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
    assert ("codebook" in state.mutable.get("autoencoder", {})) == (variant == "ema")
    losses = {"commitment", "entropy", "diversity", "uniform", "codebook"}
    expected = {
        "ema": {"commitment"}, "factorised": {"commitment", "codebook"}, "gumbel": {"uniform"},
        "rounded": set(), "signs": {"commitment", "entropy", "diversity"},
    }[variant]  # fmt: skip
    assert {name for name in losses if f"loss/{name}" in logged} == expected
    assert {"perplexity", "loss/adversarial", "loss/real"} <= logged.keys()
