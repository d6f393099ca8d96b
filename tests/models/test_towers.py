"""Contrastive towers: published size, unit length, and what the text tower can see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.errors import UserError
from mmjax.models.towers import ImageTower, TextTower, Towers, last_token
from mmjax.streams import Stream

TOWERS = Towers(
    {
        "image": ImageTower(features=6, patch=4, width=8, depth=2, heads=2),
        "text": TextTower(features=6, vocabulary=11, width=8, depth=2, heads=2),
    }
)


def stream(values, mask):
    positions = jnp.zeros((*mask.shape, mask.ndim - 1))
    return Stream(values, jnp.zeros(values.shape[0]), mask, positions)


def inputs(batch=3, side=8, length=5, channels=1):
    images = jax.random.normal(jax.random.key(0), (batch, side, side, channels))
    ids = jax.random.randint(jax.random.key(1), (batch, length), 1, 11)
    return {
        "image": stream(images, jnp.ones((batch, side, side), bool)),
        "text": stream(ids, jnp.arange(length) < jnp.arange(1, batch + 1)[:, None]),
    }


def test_vit_b_32_size():
    towers = Towers(
        {
            "image": ImageTower(features=512, patch=32, width=768, depth=12, heads=12),
            "text": TextTower(features=512, vocabulary=49408, width=512, depth=12, heads=8),
        }
    )
    streams = jax.eval_shape(lambda: inputs(1, 224, 77, 3))
    shapes = jax.eval_shape(towers.init, jax.random.key(0), streams)
    assert tree.count(shapes["params"]) == 151_277_313


def test_embeddings_have_unit_length_and_the_scale_starts_at_one_over_0_07():
    variables = jax.jit(TOWERS.init)(jax.random.key(0), inputs())
    embeddings, log_scale = jax.jit(TOWERS.apply)(variables, inputs())
    for embedding in embeddings.values():
        assert embedding.shape == (3, 6)
        np.testing.assert_allclose(jnp.sum(embedding**2, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(log_scale), 1 / 0.07, rtol=1e-5)


def test_what_follows_the_last_shown_token_does_not_matter():
    given = inputs()
    tower = TOWERS.towers["text"]
    variables = jax.jit(tower.init)(jax.random.key(0), given["text"])
    apply = jax.jit(tower.apply)
    expected = apply(variables, given["text"])
    hidden = given["text"].values + jnp.where(given["text"].mask, 0, 1) * (
        jnp.arange(5) % 2  # other padding
    )
    found = apply(variables, given["text"].replace(values=hidden))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    shown = given["text"].values.at[:, 0].set(0)
    assert not np.allclose(apply(variables, given["text"].replace(values=shown)), expected)


def test_last_token_follows_the_mask():
    tokens = jnp.arange(12.0).reshape(3, 4, 1)
    mask = jnp.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(last_token(tokens, mask)[:, 0], [1.0, 7.0, 8.0])


def test_an_image_that_patches_do_not_cover_is_refused():
    image = inputs(side=10)["image"]
    with pytest.raises(UserError, match="10x10 pixels.*patch=4"):
        TOWERS.towers["image"].init(jax.random.key(0), image)
