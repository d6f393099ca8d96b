"""InfoNCE against NumPy, its bound on the scale, and that every example sees all others."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.objectives.base import Context, Request
from mmjax.objectives.contrastive import Contrastive
from mmjax.processes.clean import Clean
from mmjax.streams import StreamSpec

KEY = jax.random.key(0)
STREAMS = {
    name: StreamSpec(
        name, name, (1,), 4, None, ("index",), np.zeros((1, 1), np.float32), process=Clean()
    )
    for name in ("image", "text")
}


class Directions(nn.Module):
    """The streams' own values as embeddings, and a learned scale."""

    @nn.compact
    def __call__(self, streams):
        found = {name: stream.values[:, 0] for name, stream in streams.items()}
        unit = {k: v / jnp.linalg.norm(v, axis=1, keepdims=True) for k, v in found.items()}
        return unit, self.param("log_scale", nn.initializers.constant(math.log(10.0)), ())


def batch(size=5):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(size, 1, 4)).astype(np.float32) for name in STREAMS}


LOG_SCALE = math.log(10.0)


def context(log_scale=LOG_SCALE):
    params = {"towers": {"log_scale": jnp.asarray(log_scale, jnp.float32)}}
    return Context({"towers": Directions()}, params, params, {})


def terms(values, ctx):
    objective = Contrastive(STREAMS)
    return objective.terms(ctx, objective.prepare(ctx, values, KEY), KEY, "all")


def test_both_directions():
    values = batch()
    found, aux = terms(values, context())
    image, text = (v[:, 0] / np.linalg.norm(v[:, 0], axis=1)[:, None] for v in values.values())
    logits = 10.0 * image @ text.T
    for name, scores in (("image_to_text", logits), ("text_to_image", logits.T)):
        expected = np.log(np.exp(scores).sum(1)) - np.diag(scores)
        np.testing.assert_allclose(found[name].values, expected, rtol=1e-4)
        assert found[name].weight == 0.5
    expected = np.mean(logits.argmax(1) == np.arange(5))
    np.testing.assert_allclose(aux.metrics["retrieval"], expected)


def test_the_batch_is_coupled():
    values = batch()
    assert Contrastive(STREAMS).whole_batch
    halves = {name: v[:2] for name, v in values.items()}
    whole, _ = terms(values, context())
    half, _ = terms(halves, context())
    assert np.all(half["image_to_text"].values < whole["image_to_text"].values[:2])


def test_the_scale_is_bounded_but_still_learns():
    def loss(log_scale):
        found, aux = terms(batch(), context(log_scale))
        return sum(jnp.sum(t.values) for t in found.values()), aux.metrics["scale"]

    gradient, scale = jax.grad(loss, has_aux=True)(math.log(1000.0))
    np.testing.assert_allclose(scale, 100.0, rtol=1e-5)
    assert abs(gradient) > 1e-3


def test_mistakes():
    with pytest.raises(UserError, match="no stream named sound; this system has image, text"):
        Contrastive(STREAMS, pair=("image", "sound"))
    with pytest.raises(UserError, match="generate nothing"):
        Contrastive(STREAMS).sample(context(), Request({}, ("image",), 1), KEY)
