"""Sets of vectors: what the order of points, latents and queries must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs import vec_set
from mmjax.codecs.vec_set import VecSet, farthest
from mmjax.errors import UserError

CODEC = VecSet(latents=5, size=3, width=8, depth=2, heads=1)
RNG = np.random.default_rng(0)
POINTS = jnp.asarray(RNG.uniform(-1, 1, (2, 24, 3)), jnp.float32)
QUERIES = jnp.asarray(RNG.uniform(-1, 1, (2, 6, 3)), jnp.float32)
SHUFFLED = POINTS[:, RNG.permutation(24)]


@pytest.fixture(scope="module")
def params():
    found = jax.jit(CODEC.init)(jax.random.key(0), POINTS, QUERIES)
    return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(1), x.shape), found)


def test_points_far_from_each_other():
    """Against the greedy choice, written out."""
    for points, found in zip(np.asarray(POINTS), farthest(POINTS, 5), strict=True):
        chosen = [np.linalg.norm(points - points.mean(0), axis=1).argmax()]
        while len(chosen) < 5:
            distance = np.linalg.norm(points[:, None] - points[chosen], axis=-1).min(1)
            chosen.append(distance.argmax())
        assert found.tolist() == chosen


def apart(params):
    """How far the answers about a cloud and about the same in another order are apart."""
    one, other = (CODEC.apply(params, points, QUERIES) for points in (POINTS, SHUFFLED))
    return float(jnp.abs(one - other).max() / jnp.std(one))


def test_the_order_of_points_does_not_matter(params):
    assert apart(params) < 1e-4


def test_with_the_first_points_for_the_farthest_it_would(params, monkeypatch):
    def first(points, count):
        return jnp.broadcast_to(jnp.arange(count), (len(points), count))

    monkeypatch.setattr(vec_set, "farthest", first)
    assert apart(params) > 0.01


def test_latents_are_a_set_and_queries_do_not_see_each_other(params):
    posterior = CODEC.apply(params, POINTS, method="encode")
    assert posterior.mean.shape == posterior.logvar.shape == (2, 5, 3)
    answers = CODEC.apply(params, posterior.mean, QUERIES, method="decode")
    assert answers.shape == (2, 6)
    reordered = CODEC.apply(params, posterior.mean[:, ::-1], QUERIES, method="decode")
    np.testing.assert_allclose(reordered, answers, atol=1e-5)
    alone = CODEC.apply(params, posterior.mean, QUERIES[:, 2:3], method="decode")
    np.testing.assert_allclose(alone[:, 0], answers[:, 2], atol=1e-5)
    other = CODEC.apply(params, posterior.mean[::-1], QUERIES, method="decode")
    assert not np.allclose(other, answers, atol=1e-3), "another shape, other answers"


def test_too_few_points_are_refused(params):
    with pytest.raises(UserError, match="4 points are fewer than 5 latents"):
        CODEC.apply(params, POINTS[:, :4], method="encode")
