"""The temporal decoder: published size, frames that are decoded together, refused chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.chunks import chunks, stream
from mmjax.codecs.video.temporal_decoder import AutoencoderKLTemporalDecoder
from mmjax.errors import UserError
from tests.codecs.video.streaming import noisy

SMALL = AutoencoderKLTemporalDecoder(channels=1, widths=(32,), blocks=1, latents=2)


@pytest.fixture(scope="module")
def small():
    return noisy(SMALL, (1, 4, 3, 5, 1))


def test_published_size():
    clip = jax.ShapeDtypeStruct((1, 1, 8, 8, 3), jnp.float32)
    init = AutoencoderKLTemporalDecoder().init
    assert tree.count(jax.eval_shape(init, jax.random.key(0), clip)["params"]) == 97_742_847


def test_frames_are_encoded_apart(small):
    variables, clip = small
    whole = SMALL.apply(variables, clip, method="encode").mean
    parts = [p.mean for p in stream(SMALL, variables, chunks(clip, 2), "encode")]
    np.testing.assert_allclose(jnp.concatenate(parts, 1), whole, atol=1e-5)


def test_frames_are_decoded_together(small):
    """Another last frame changes the first, so that chunks of latents are refused."""
    variables, clip = small
    latents = SMALL.apply(variables, clip, method="encode").mean
    decode = jax.jit(lambda z: SMALL.apply(variables, z, method="decode"))
    change = decode(latents.at[:, -1].set(0.0)) - decode(latents)
    assert np.abs(change[:, 0]).max() > 1e-4
    with pytest.raises(UserError, match="decode sees later frames: give it the whole"):
        next(stream(SMALL, variables, chunks(latents, 2), "decode"))
