"""Feature matching against NumPy: which layers count, and where its gradient goes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Context
from mmjax.objectives.features import FeatureMatching

MADE, REAL = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), jnp.float32)


class Judges(nn.Module):
    """Two judges of two layers and one of one, each before its logits."""

    def __call__(self, x, *, train):
        assert train
        return (x, 2 * jnp.square(x), x[:, :1]), (5 * x[:, :2], x[:, :1])


CONTEXT = Context({"discriminator": Judges()}, {}, {}, {})


@pytest.mark.parametrize("relative", [False, True])
def test_activations_but_not_logits_are_compared(relative):
    layers = (lambda x: x, lambda x: 2 * x**2, lambda x: 5 * x[:, :2])
    expected = 0
    for layer in layers:
        apart = np.abs(layer(MADE) - layer(REAL)).mean(-1)
        expected += apart / np.abs(layer(REAL)).mean() / 3 if relative else apart
    found = FeatureMatching(relative)(CONTEXT, MADE, REAL)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_is_real_has_no_gradient():
    slope = jax.grad(lambda *pair: jnp.sum(FeatureMatching()(CONTEXT, *pair)), (0, 1))
    made, real = slope(MADE, REAL)
    assert np.all(made) and not np.any(real)
