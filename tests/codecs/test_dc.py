"""The deep compression autoencoder: published sizes, its attention, what reaches parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.dc import AutoencoderDC
from mmjax.layers.efficient_vit import _linear_attention

PUBLISHED = {
    312_250_275: AutoencoderDC(),
    323_356_460: AutoencoderDC(
        encoder_blocks=(0, 4, 8, 2, 2, 2), decoder_blocks=(0, 5, 10, 2, 2, 2), scales=(),
        shuffled=True, batch_normed=(0, 1, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("count", PUBLISHED)
def test_published_size(count):
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(PUBLISHED[count].init, jax.random.key(0), image)
    assert tree.count(variables["params"]) == count


def test_linear_attention_against_numpy():
    heads = np.random.default_rng(0).normal(size=(2, 3, 4, 2 * 3 * 5)).astype(np.float32)
    found = _linear_attention(jnp.asarray(heads), 5)
    for example in range(2):
        for head in range(2):
            part = heads[example].reshape(12, 30)[:, head * 15 : (head + 1) * 15]
            query, key, value = (
                np.maximum(part[:, :5], 0),
                np.maximum(part[:, 5:10], 0),
                part[:, 10:],
            )
            weights = query @ key.T
            expected = weights / weights.sum(-1, keepdims=True) @ value
            expected = expected.reshape(3, 4, 5)
            np.testing.assert_allclose(
                found[example, :, :, head * 5 : head * 5 + 5], expected, atol=1e-5
            )
