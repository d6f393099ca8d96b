"""The balancer's shares of the gradient, its moving averages against NumPy, values left alone."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.quantisers.base import Quantised
from mmjax.objectives.balance import BalancedCoding, balance, begin
from mmjax.objectives.base import Context
from mmjax.objectives.critic import Critic
from mmjax.objectives.errors import Absolute
from mmjax.processes.clean import Clean
from mmjax.streams import StreamSpec

OUTPUT = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)
LOSSES = {
    "tiny": lambda x: 1e-6 * jnp.sum(jnp.square(x), axis=-1),
    "huge": lambda x: 1e6 * jnp.sum(jnp.cos(x), axis=-1),
    "plain": lambda x: jnp.mean(jnp.abs(x - 1), axis=-1),
}
WEIGHTS = {"tiny": 1.0, "huge": 2.0, "plain": 5.0}


def slopes(norms, weights=WEIGHTS, decay=0.9, output=OUTPUT):
    """The gradient of each term at the output, per example, and the new averages."""

    def total(output, name):
        term = balance(output, LOSSES, weights, norms, decay)[0][name]
        return jnp.mean(term.weight * term.values)

    found = {name: len(output) * jax.grad(total)(output, name) for name in LOSSES}
    return found, balance(output, LOSSES, weights, norms, decay)[1]


def lengths(gradient):
    return np.sqrt(np.square(gradient).sum(-1)).mean()


def test_the_share_of_each_loss_is_that_of_its_weight():
    found, _ = slopes(begin(LOSSES))
    for name, weight in WEIGHTS.items():
        assert lengths(found[name]) == pytest.approx(weight / 8, rel=1e-4)
        own = jax.grad(lambda x, name=name: jnp.sum(LOSSES[name](x)))(OUTPUT)
        direction = np.asarray(own) / lengths(own)
        np.testing.assert_allclose(found[name], direction * weight / 8, rtol=1e-3, atol=1e-6)


def test_gradients_are_divided_by_the_average_of_all_steps():
    outputs = [OUTPUT, 3 * OUTPUT, 0.2 * OUTPUT]
    norms, seen, decay = begin(LOSSES), [], 0.9
    for output in outputs:
        found, norms = slopes(norms, output=output)
        seen.append(2e-6 * lengths(output))
    ages = decay ** np.arange(2, -1, -1)
    average = (ages * seen).sum() / ages.sum()
    expected = 2e-6 * outputs[-1] / average / 8
    np.testing.assert_allclose(found["tiny"], expected, rtol=1e-3)


def test_values_are_those_of_the_losses_and_a_weight_may_be_zero():
    weights = {**WEIGHTS, "huge": jnp.zeros(())}
    terms, _ = balance(OUTPUT, LOSSES, weights, begin(LOSSES), 0.9)
    for name, term in terms.items():
        np.testing.assert_allclose(term.values, LOSSES[name](OUTPUT), rtol=1e-5)
    found, _ = slopes(begin(LOSSES), weights)
    assert not np.any(found["huge"])
    assert lengths(found["plain"]) == pytest.approx(5 / 6, rel=1e-4)


class Codec(nn.Module):
    """A codec of one code, whose decoder only adds a bias."""

    def setup(self):
        self.bias = self.param("bias", nn.initializers.normal(), (6,))

    def encode(self, x, *, train):
        codes = jnp.zeros(x.shape[:1], jnp.int32)
        return Quantised(x, 0.5 * x, codes, {"commitment": jnp.ones(len(x))}, vocabulary=2)

    def decode(self, x):
        return x + self.bias

    def __call__(self, x):
        return self.decode(x)


class Judge(nn.Module):
    """One judge of one logit."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return ((nn.Dense(1, name="logit")(x),),)


SPEC = StreamSpec("audio", "audio", (6,), None, None, ("time",), np.zeros((6, 1)), process=Clean())
OBJECTIVE = BalancedCoding(
    {"audio": SPEC}, {"commitment": 0.25}, "audio", errors={"l1": Absolute(2.0)},
    critic=Critic(weight=1.0, starts=3), decay=0.9,
)  # fmt: skip


@pytest.fixture(scope="module")
def ctx():
    networks = {"autoencoder": Codec(), "discriminator": Judge()}
    keys = jax.random.split(jax.random.key(0))
    params = {
        name: network.init(key, OUTPUT)["params"]
        for (name, network), key in zip(networks.items(), keys, strict=True)
    }
    return Context(networks, params, params, {}, OBJECTIVE.init_state({}), step=5)


def played(ctx, update="autoencoder"):
    return OBJECTIVE.terms(ctx, {"values": OUTPUT}, jax.random.key(1), update)


def test_errors_and_critic_share_the_gradient_of_the_codec(ctx):
    def loss(bias):
        params = {**ctx.params, "autoencoder": {"bias": bias}}
        terms, aux = played(dataclasses.replace(ctx, params=params))
        return sum(term.weight * jnp.mean(term.values) for term in terms.values()), (terms, aux)

    bias = ctx.params["autoencoder"]["bias"]
    found, (terms, aux) = jax.grad(loss, has_aux=True)(bias)
    kernel = np.asarray(ctx.params["discriminator"]["logit"]["kernel"])[:, 0]
    signs = np.sign(bias - 0.5 * np.asarray(OUTPUT)) / np.sqrt(6)
    expected = signs.mean(0) * 2 / 3 - kernel / np.linalg.norm(kernel) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert terms.keys() == {"l1", "adversarial", "commitment"} and aux.state.count == 1
    assert terms["commitment"].weight == 0.25 and float(aux.metrics["perplexity"]) == 1


def test_the_critic_moves_no_average_and_waits_for_its_step(ctx):
    _, aux = played(ctx, "discriminator")
    assert aux.state is None
    terms, _ = played(dataclasses.replace(ctx, step=2))
    assert float(terms["adversarial"].weight) == 0
