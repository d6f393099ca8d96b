"""DCGAN: published size, where statistics come from and go to, and images of another size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.errors import UserError
from mmjax.models.gan import Discriminator, Generator

MAKER = Generator(channels=1, widths=(8, 6))
JUDGE = Discriminator(widths=(6, 8))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def noise():
    return jax.random.normal(jax.random.key(1), (5, 3))


@pytest.fixture(scope="module")
def maker(noise):
    return jax.jit(MAKER.init)(KEY, noise)


@functools.partial(jax.jit, static_argnames="train")
def make(variables, noise, train):
    mutable = ["batch_stats"] if train else False
    return MAKER.apply(variables, noise, train=train, mutable=mutable)


def test_size_of_the_public_64_pixel_model():
    shapes = jax.eval_shape(Generator().init, KEY, jnp.zeros((1, 100)))
    assert tree.count(shapes["params"]) == 3_576_704
    shapes = jax.eval_shape(Discriminator().init, KEY, jnp.zeros((1, 64, 64, 3)))
    assert tree.count(shapes["params"]) == 2_765_568


def test_images_are_in_range(maker, noise):
    images, _ = make(maker, 50.0 * noise, train=True)
    assert images.shape == (5, 16, 16, 1)
    assert float(jnp.abs(images).max()) <= 1.0 and float(images.std()) > 1e-3


def test_running_moments_follow_the_batch(maker, noise):
    _, changed = make(maker, noise, train=True)
    features = np.asarray(noise) @ np.asarray(maker["params"]["project"]["kernel"])
    features = features.reshape(-1, 8)
    found = changed["batch_stats"]["norm_0"]
    np.testing.assert_allclose(found["mean"], 0.1 * features.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * features.var(0), rtol=1e-4)


def test_the_batch_matters_in_training_only(maker, noise):
    other = noise.at[1:].multiply(2.0)
    same = make(maker, noise, train=False)[0] - make(maker, other, train=False)[0]
    np.testing.assert_array_equal(same, jnp.zeros_like(same))
    (first, _), (second, _) = make(maker, noise, train=True), make(maker, other, train=True)
    assert float(jnp.abs(first[0] - second[0]).max()) > 1e-5


def test_neither_the_output_nor_the_input_is_normalised():
    maker = jax.eval_shape(MAKER.init, KEY, jnp.zeros((1, 3)))
    judge = jax.eval_shape(JUDGE.init, KEY, jnp.zeros((1, 16, 16, 1)))
    widths = {
        name: dict(tree.flatten(m["batch_stats"])) for name, m in (("g", maker), ("d", judge))
    }
    assert {path: leaf.shape for path, leaf in widths["g"].items() if path.endswith("mean")} == {
        "norm_0/mean": (8,),
        "norm_1/mean": (6,),
    }
    assert {path for path in widths["d"]} == {"norm_1/mean", "norm_1/var"}


def test_another_image_size_is_refused():
    with pytest.raises(UserError, match="8x8 pixels.*takes 16x16"):
        JUDGE.init(KEY, jnp.zeros((1, 8, 8, 1)))
