"""Experts of several streams: their losses by hand, what is drawn from what, and miswirings."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.dense import ConditionalAutoencoder, DenseAutoencoder
from mmjax.codecs.posterior import DiagonalNormal
from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Request
from mmjax.objectives.conditional import ConditionalVariational
from mmjax.objectives.multimodal import MixtureOfExperts, ProductOfExperts
from mmjax.processes.clean import Clean
from mmjax.processes.likelihood import Likelihood
from mmjax.rng import named
from tests.contracts.network import make_spec

KEY = jax.random.key(0)
IMAGE = make_spec("image", (3, 2), Likelihood("bernoulli"), channels=1)
LABEL = dataclasses.replace(
    make_spec("label", (1,), Likelihood("categorical"), vocabulary=4), weight=10.0
)
STREAMS = {"image": IMAGE, "label": LABEL}
RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.random((5, 3, 2, 1), np.float32),
    "label": RNG.integers(0, 4, (5, 1), np.int32),
}
NETWORKS = {
    name: DenseAutoencoder(STREAMS, name, latents=2, encoder=(6,), decoder=(6,)) for name in STREAMS
}
CODERS = {"autoencoder": ConditionalAutoencoder(STREAMS, "image", "label", latents=2, widths=(6,))}
PRODUCT = ProductOfExperts(STREAMS)
MIXTURE = MixtureOfExperts(STREAMS, draws=3)
CONDITIONAL = ConditionalVariational(
    {**STREAMS, "label": make_spec("label", (1,), Clean(), vocabulary=4)}
)


def begin(objective, networks):
    """A context with parameters away from zero."""
    params = {}
    for name, arguments in objective.inputs(BATCH, KEY).items():
        drawn = jax.jit(networks[name].init)(KEY, *arguments)["params"]
        noise = lambda x: x + 0.3 * jax.random.normal(KEY, x.shape)  # noqa: E731
        params[name] = jax.tree.map(noise, drawn)
    return Context(networks, params, params, {}, step=3)


@pytest.fixture(scope="module")
def ctx():
    return begin(PRODUCT, NETWORKS)


@pytest.fixture(scope="module")
def conditional():
    return begin(CONDITIONAL, CODERS)


def terms(objective, ctx, batch=BATCH):
    found, _ = objective.terms(ctx, objective.prepare(ctx, batch, KEY), KEY, "all")
    return found


def log_bernoulli(logits):
    x, p = BATCH["image"], 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return (x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3))


def log_categorical(logits):
    logits = np.asarray(logits, np.float64)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(logs, BATCH["label"][..., None], -1).sum((1, 2))


def moments(ctx, name):
    posterior = ctx.apply(name, jnp.asarray(BATCH[name]), method="encode")
    return np.asarray(posterior.mean), np.exp(np.asarray(posterior.logvar))


def test_the_product_has_a_bound_for_all_streams_and_for_each(ctx):
    found = terms(PRODUCT, ctx)
    both = [moments(ctx, name) for name in STREAMS]
    for label, experts in {"joint": both, "image_alone": both[:1], "label_alone": both[1:]}.items():
        precision = 1 + sum(1 / variance for _, variance in experts)
        mean = sum(mean / variance for mean, variance in experts) / precision
        nats = 0.5 * (mean**2 + 1 / precision - 1 + np.log(precision)).sum(-1)
        np.testing.assert_allclose(found[f"{label}/divergence"].values, nats, rtol=1e-4)
        noise = np.asarray(jax.random.normal(named(KEY, label), mean.shape))
        latents = jnp.asarray(mean + noise / np.sqrt(precision))
        if label != "label_alone":
            logs = log_bernoulli(ctx.apply("image", latents, method="decode"))
            np.testing.assert_allclose(found[f"{label}/image"].values, -logs, rtol=1e-4)
        if label != "image_alone":
            logs = 10 * log_categorical(ctx.apply("label", latents, method="decode"))
            np.testing.assert_allclose(found[f"{label}/label"].values, -logs, rtol=1e-4)
    assert len(found) == 7, "a stream alone is not asked for the other"


def test_the_divergence_is_annealed(ctx):
    found = terms(dataclasses.replace(PRODUCT, annealed=12), ctx)
    assert float(found["joint/divergence"].weight) == 3 / 12
    late = dataclasses.replace(ctx, step=20)
    assert (
        float(terms(dataclasses.replace(PRODUCT, annealed=12), late)["joint/divergence"].weight)
        == 1
    )


def test_the_mixture_by_hand(ctx):
    """Shi et al., eq. 3: each expert's latents decode both streams, under the mixture's density."""
    found = -np.asarray(terms(dataclasses.replace(MIXTURE, estimator="iwae"), ctx)["bound"].values)
    experts = [moments(ctx, name) for name in STREAMS]
    bounds = []
    for index, (mean, variance) in enumerate(experts):
        noise = jax.random.normal(named(KEY, "latents", index), (3, *mean.shape))
        latents = mean + np.asarray(noise) * np.sqrt(variance)
        densities = [
            (-0.5 * ((latents - m) ** 2 / v + np.log(2 * np.pi * v))).sum(-1) for m, v in experts
        ]
        prior = (-0.5 * (latents**2 + np.log(2 * np.pi))).sum(-1)
        logs = [
            log_bernoulli(ctx.apply("image", jnp.asarray(z), method="decode"))
            + 10 * log_categorical(ctx.apply("label", jnp.asarray(z), method="decode"))
            for z in latents
        ]
        weights = np.exp(prior + logs - np.log(np.exp(densities).mean(0)))
        bounds.append(np.log(weights.mean(0)))
    np.testing.assert_allclose(found, np.mean(bounds, axis=0), rtol=1e-4)


@functools.cache
def slope(kind):
    """The compiled gradient of an objective's terms added up, by parameters, given a batch."""

    def loss(params, batch):
        networks = CODERS if kind == "conditional" else NETWORKS
        found = terms(OBJECTIVES[kind], Context(networks, params, params, {}), batch)
        return sum(jnp.sum(term.values) for term in found.values())

    return jax.jit(jax.grad(loss))


@pytest.mark.parametrize("kind", ["product", "mixture", "conditional"])
def test_every_parameter_learns(kind, ctx, conditional):
    found = slope(kind)((conditional if kind == "conditional" else ctx).params, BATCH)
    assert [path for path, leaf in tree.flatten(found).items() if not np.any(leaf)] == []


def sample(objective, ctx, given, want, batch=5):
    streams = {name: STREAMS[name].encode(BATCH) for name in given}
    return objective.sample(ctx, Request(streams, want, batch), KEY)


@pytest.mark.parametrize("objective", [PRODUCT, MIXTURE], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("given", [(), ("image",), ("label",), ("image", "label")], ids=str)
def test_any_streams_from_any_others(objective, given, ctx):
    found = sample(objective, ctx, given, ("image", "label"))
    assert found["image"].values.shape == (5, 3, 2, 1)
    assert float(found["image"].values.min()) > 0 and float(found["image"].values.max()) < 1
    assert found["label"].values.shape == (5, 1) and found["label"].values.dtype == jnp.int32
    assert len(np.unique(np.asarray(found["image"].values)[:, 0, 0, 0])) == 5


def test_latents_of_the_product_and_of_the_mixture():
    sharp = [DiagonalNormal(jnp.full((400, 1), m), jnp.full((400, 1), -20.0)) for m in (-3.0, 3.0)]
    np.testing.assert_allclose(PRODUCT.fuse(sharp, KEY), 0.0, atol=1e-3)
    drawn = np.asarray(MIXTURE.fuse(sharp, KEY))[:, 0]
    np.testing.assert_allclose(np.abs(drawn), 3.0, atol=1e-3)
    assert 140 < (drawn > 0).sum() < 260, "each expert is drawn about as often"


class Apart(ProductOfExperts):
    """Miswired: no bound has more than one stream."""

    def terms(self, ctx, batch, key, update):
        found, aux = super().terms(ctx, batch, key, update)
        return {name: term for name, term in found.items() if "alone" in name}, aux


class Selfish(MixtureOfExperts):
    """Miswired: the latents of an expert decode its own stream alone."""

    def terms(self, ctx, batch, key, update):
        found = {}
        for name, stream in batch["streams"].items():
            found[name] = super().terms(ctx, {"streams": {name: stream}}, key, update)[0]["bound"]
        return found, Aux()


OBJECTIVES = {
    "product": PRODUCT,
    "mixture": MIXTURE,
    "conditional": CONDITIONAL,
    "apart": Apart(STREAMS),
    "selfish": Selfish(STREAMS),
}


@pytest.mark.parametrize(
    ("kind", "hears"), [("product", True), ("mixture", True), ("apart", False), ("selfish", False)]
)
def test_the_encoder_of_labels_learns_what_pictures_look_like(kind, hears, ctx):
    batches = BATCH, {**BATCH, "image": 1 - BATCH["image"]}
    one, other = (jax.tree.leaves(slope(kind)(ctx.params, b)["label"]["read"]) for b in batches)
    assert hears == any(not np.allclose(*pair, atol=1e-4) for pair in zip(one, other, strict=True))


def test_the_conditional_terms_by_hand(conditional):
    found = terms(CONDITIONAL, conditional)
    image, label = jnp.asarray(BATCH["image"]), jnp.asarray(BATCH["label"])
    posterior = conditional.apply("autoencoder", image, label, method="encode")
    prior = conditional.apply("autoencoder", label, method="prior")
    (m, v), (n, w) = (
        (np.asarray(q.mean), np.exp(np.asarray(q.logvar))) for q in (posterior, prior)
    )
    nats = 0.5 * (v / w + (m - n) ** 2 / w - 1 + np.log(w / v)).sum(-1)
    np.testing.assert_allclose(found["divergence"].values, nats, rtol=1e-4)
    fixed = np.asarray(posterior.divergence()).sum(-1)
    assert not np.allclose(nats, fixed, rtol=0.05), "it is from the condition's own prior"
    latents = posterior.sample(named(KEY, "posterior"))
    logits = conditional.apply("autoencoder", latents, label, method="decode")
    np.testing.assert_allclose(found["image"].values, -log_bernoulli(logits), rtol=1e-4)


def test_pictures_of_a_condition(conditional):
    made = sample(CONDITIONAL, conditional, ("label",), ("image",))["image"].values
    assert made.shape == (5, 3, 2, 1)
    any_label = sample(CONDITIONAL, conditional, (), ("image",), batch=3)["image"].values
    assert any_label.shape == (3, 3, 2, 1) and len(np.unique(any_label[:, 0, 0, 0])) == 3
    for given, want in ((("label",), ("label",)), (("image",), ("image",))):
        with pytest.raises(UserError, match="makes 'image'; give it 'label', beside which"):
            sample(CONDITIONAL, conditional, given, want)


def test_a_picture_beside_its_condition_comes_back_by_its_posterior(conditional):
    found = sample(CONDITIONAL, conditional, ("image", "label"), ("image",))["image"].values
    image, label = jnp.asarray(BATCH["image"]), jnp.asarray(BATCH["label"])
    mean = conditional.apply("autoencoder", image, label, method="encode").mean
    logits = conditional.apply("autoencoder", mean, label, method="decode")
    np.testing.assert_allclose(found, IMAGE.process.mode(logits), rtol=1e-5)
    prior = conditional.apply("autoencoder", label, method="prior").mean
    unseen = conditional.apply("autoencoder", prior, label, method="decode")
    assert not np.allclose(found, IMAGE.process.mode(unseen), atol=1e-2), "it is not looked at"


def test_wrong_declarations_are_named():
    clean = {"image": make_spec("image", (3, 2), Clean(), channels=1), "label": LABEL}
    for kind in (ProductOfExperts, MixtureOfExperts, ConditionalVariational):
        with pytest.raises(
            UserError, match=r"config\.streams\.image\.process: must be a Likelihood"
        ):
            kind(clean)
    with pytest.raises(ValueError, match="estimator must be one of elbo, iwae, dreg"):
        MixtureOfExperts(STREAMS, estimator="exact")
    with pytest.raises(ValueError, match="draws must be at least 1"):
        MixtureOfExperts(STREAMS, draws=0)
    with pytest.raises(ValueError, match="condition must be one of image, label"):
        ConditionalVariational(STREAMS, condition="text")
