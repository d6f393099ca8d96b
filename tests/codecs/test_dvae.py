"""DALL-E's decoder against NumPy, the published sizes, and what a temperature does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from mmjax import tree
from mmjax.codecs.dvae import DVAE
from mmjax.errors import UserError

CODEC = DVAE(channels=1, width=4, blocks=1, vocabulary=6, size=3)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, (2, 8, 16, 1)), jnp.float32)


@pytest.fixture(scope="module")
def variables():
    """Parameters drawn wide, so that no branch is lost beside its shortcut."""
    generator = np.random.default_rng(1)
    shapes = jax.eval_shape(CODEC.init, jax.random.key(0), IMAGES)
    return jax.tree.map(lambda x: generator.normal(size=x.shape).astype(np.float32), shapes)


def convolved(x, weights):
    """A convolution of ``[H, W, C]`` that keeps the grid."""
    kernel = weights["kernel"]
    planes = [
        sum(signal.correlate2d(x[..., c], kernel[..., c, d], "same") for c in range(x.shape[-1]))
        for d in range(kernel.shape[-1])
    ]
    return np.stack(planes, axis=-1) + weights["bias"]


def decoded(x, weights):
    """The decoder of one block per group, of vectors ``[h, w, Z]``."""
    x = x + weights["bias"]
    for group in range(4):
        block, y = weights[f"group_{group}_block_0"], x
        for index in range(4):
            y = convolved(np.maximum(y, 0), block[f"conv_{index}"])
        x = (convolved(x, block["shortcut"]) if "shortcut" in block else x) + y / 4**2
        if group < 3:
            x = x.repeat(2, 0).repeat(2, 1)
    return convolved(np.maximum(x, 0), weights["conv_out"])


def test_the_decoder_is_the_published_one(variables):
    codes = np.array([[[0, 5]], [[3, 2]]])
    found = np.asarray(jax.jit(lambda v, x: CODEC.apply(v, x, method="decode"))(variables, codes))
    weights = jax.tree.map(np.float64, variables["params"])
    for picture, row in zip(found, weights["quantiser"]["codebook"][codes], strict=True):
        expected = decoded(row, weights["decoder"])
        np.testing.assert_allclose(picture, expected, rtol=1e-4, atol=1e-4 * expected.std())
    assert found.shape == (2, 8, 16, 2)


def test_a_low_temperature_takes_one_code_and_a_high_one_all(variables):
    rngs = {"codes": jax.random.key(0)}

    @jax.jit
    def mixed(temperature):
        options = {"method": "encode", "train": True, "temperature": temperature, "rngs": rngs}
        return CODEC.apply(variables, IMAGES, **options)

    book = variables["params"]["quantiser"]["codebook"]
    sharp, flat = mixed(1e-4), mixed(1e6).values
    np.testing.assert_allclose(sharp.values, book[sharp.codes], atol=1e-4)
    np.testing.assert_allclose(flat, np.broadcast_to(book.mean(0), flat.shape), atol=1e-3)


def test_published_sizes():
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(DVAE().init, jax.random.key(0), images)["params"]
    book = tree.count(shapes["quantiser"])
    assert tree.count(shapes["encoder"]) == 53_786_240
    assert tree.count(shapes["decoder"]) + book == 43_829_766
    assert DVAE().grid((256, 256, 3)) == (32, 32)
    with pytest.raises(UserError, match="multiples of 8"):
        CODEC.grid((8, 12, 1))
