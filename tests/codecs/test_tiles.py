"""Pictures in tiles: exact where no tile sees another, near where they overlap; mistakes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.tiles import decode_tiles, encode_tiles
from mmjax.errors import UserError

CODEC = AutoencoderKL(channels=1, widths=(8, 8), blocks=1, latents=2, groups=2)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 32, 40, 1)), jnp.float32)


class Local(nn.Module):
    """A codec of 2 x 2 pixels that looks at nothing else, so that tiles are exact."""

    def grid(self, raw_shape):
        return raw_shape[0] // 2, raw_shape[1] // 2

    def encode(self, images):
        batch, height, width, channels = images.shape
        cells = images.reshape(batch, height // 2, 2, width // 2, 2, channels)
        return DiagonalNormal(mean := cells.mean((2, 4)), jnp.zeros_like(mean))

    def decode(self, latents):
        return jnp.repeat(jnp.repeat(latents, 2, axis=1), 2, axis=2)


@pytest.mark.parametrize(("size", "overlap"), [(4, 0), (5, 2), (7, 6), (16, 3), (40, 8)])
def test_a_codec_that_looks_no_further_is_exact(size, overlap):
    codec = Local()
    whole = codec.apply({}, IMAGES, method="encode").mean
    np.testing.assert_allclose(encode_tiles(codec, {}, IMAGES, size, overlap), whole, atol=1e-6)
    made = codec.apply({}, whole, method="decode")
    np.testing.assert_allclose(decode_tiles(codec, {}, whole, size, overlap), made, atol=1e-6)


@pytest.fixture(scope="module")
def variables():
    """Random parameters, biases too."""
    generator = np.random.default_rng(1)
    shapes = jax.eval_shape(CODEC.init, jax.random.key(0), IMAGES)

    def draw(leaf):
        spread = max(np.prod(leaf.shape[:-1]), 1) ** -0.5
        return jnp.asarray(spread * generator.normal(size=leaf.shape), jnp.float32)

    return jax.tree.map(draw, shapes)


def test_errors_fall_with_the_overlap(variables):
    """The figures are those that the docstring of encode_tiles states."""
    latents = jax.jit(lambda v, x: CODEC.apply(v, x, method="encode").mean)(variables, IMAGES)
    whole = jax.jit(lambda v, x: CODEC.apply(v, x, method="decode"))(variables, latents)

    def errors(overlap):
        encoded = encode_tiles(CODEC, variables, IMAGES, 8, overlap)
        decoded = decode_tiles(CODEC, variables, latents, 8, overlap)
        pairs = ((encoded, latents), (decoded, whole))
        return [float(np.std(a - b) / np.std(b)) for a, b in pairs]

    apart, over = errors(0), errors(4)
    np.testing.assert_allclose(apart, (0.41, 1.02), rtol=0.05)
    np.testing.assert_allclose(over, (0.101, 0.305), rtol=0.05)
    np.testing.assert_allclose(encode_tiles(CODEC, variables, IMAGES, 20, 4), latents, atol=1e-5)


def test_mistakes_are_named(variables):
    with pytest.raises(UserError, match="an overlap from 0 to 3"):
        encode_tiles(CODEC, variables, IMAGES, 4, 4)
    with pytest.raises(UserError, match="multiples of 2"):
        encode_tiles(CODEC, variables, IMAGES[:, 1:], 8, 4)
