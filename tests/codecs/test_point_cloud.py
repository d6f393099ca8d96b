"""The autoencoder of points: what it does not depend on, its layers, its published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.point_cloud import PointAutoencoder
from mmjax.errors import UserError

CODEC = PointAutoencoder(points=6, size=4, widths=(5,), hidden=(7,))
POINTS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 3)), jnp.float32)


@pytest.fixture(scope="module")
def variables():
    generator = np.random.default_rng(1)
    shapes = jax.eval_shape(CODEC.init, jax.random.key(0), POINTS)
    draw = lambda x: jnp.asarray(generator.uniform(0.1, 1.0, x.shape), jnp.float32)  # noqa: E731
    return jax.tree.map(draw, shapes)


def encode(variables, points, **options):
    return CODEC.apply(variables, points, method="encode", **options)


def test_the_order_of_points_means_nothing_and_each_cloud_is_its_own(variables):
    vectors = encode(variables, POINTS).mean
    np.testing.assert_allclose(encode(variables, POINTS[:, ::-1]).mean, vectors, atol=1e-6)
    np.testing.assert_allclose(encode(variables, POINTS[:1]).mean, vectors[:1], atol=1e-6)
    assert np.std(vectors, axis=0).min() > 1e-3


def test_the_layers_are_the_published_ones(variables):
    params, moments = variables["params"], variables["batch_stats"]

    def dense(x, name):
        return x @ np.float64(params[name]["kernel"]) + np.float64(params[name]["bias"])

    x = np.float64(POINTS)
    for name, norm in (("each_0", "norms_0"), ("each_1", "norms_1")):
        x = np.maximum(dense(x, name), 0)
        x = (x - moments[norm]["mean"]) / np.sqrt(moments[norm]["var"] + 1e-5)
        x = x * params[norm]["scale"] + params[norm]["bias"]
    expected = dense(np.maximum(dense(x.max(1), "dense_0"), 0), "dense_1").reshape(3, 6, 3)
    found = CODEC.apply(variables, POINTS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_training_normalises_by_the_batch_and_follows_it(variables):
    found, changed = encode(variables, POINTS, train=True, mutable=["batch_stats"])
    assert not np.allclose(found.mean, encode(variables, POINTS).mean)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), dict(changed["batch_stats"]),
                         dict(variables["batch_stats"]))  # fmt: skip
    assert all(jax.tree.leaves(moved))


def test_published_size_and_refused_clouds():
    points = jax.ShapeDtypeStruct((1, 2048, 3), jnp.float32)
    shapes = jax.eval_shape(PointAutoencoder().init, jax.random.key(0), points)
    assert tree.count(shapes["params"]) == 1_770_240
    with pytest.raises(UserError, match=r"takes \(6, 3\)"):
        CODEC.grid((7, 3))
