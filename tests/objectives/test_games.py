"""The lazy gradient penalty in closed form, alone and in a critic of several judges."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Context
from mmjax.objectives.critic import Critic
from mmjax.objectives.games import lazy_r1

REAL = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)), jnp.float32)


class Judges(nn.Module):
    """One judge of squares, one of a sum, each with several logits."""

    def __call__(self, x, *, train):
        return (x, 3 * jnp.square(x)), (2 * x,)


def test_the_penalty_is_the_squared_slope_times_the_interval_when_it_is_due():
    found = lazy_r1(lambda x: jnp.sum(jnp.square(x), axis=(1, 2)), REAL, 8, 4)
    np.testing.assert_allclose(found, 4 * np.square(2 * REAL).sum((1, 2)), rtol=1e-5)
    assert not np.any(lazy_r1(lambda x: jnp.sum(x, axis=(1, 2)), REAL, 9, 4))


@pytest.mark.parametrize(("starts", "weight"), [(0, 2.5), (9, 0.0)])
def test_a_critic_is_penalised_for_the_mean_of_its_judges(starts, weight):
    ctx = Context({"discriminator": Judges()}, {}, {}, {}, step=6)
    critic = Critic(r1=5.0, r1_every=3, starts=starts)
    term = critic.terms(ctx, REAL, 0 * REAL)[0]["r1"]
    slope = (6 * REAL + 2) / 8 / 2  # means over 8 logits, then over 2 judges
    np.testing.assert_allclose(term.values, 3 * np.square(slope).sum((1, 2)), rtol=1e-5)
    assert float(term.weight) == weight
