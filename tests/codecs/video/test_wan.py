"""Wan's video autoencoders: published sizes, chunks, refused chunks."""

import jax
import jax.numpy as jnp
import pytest

from mmjax import tree
from mmjax.codecs.chunks import chunks, stream
from mmjax.codecs.video.wan import AutoencoderKLWan
from mmjax.errors import UserError
from tests.codecs.video.streaming import assert_causal, assert_chunks_equal_whole, noisy

SMALL = {
    "2.1": AutoencoderKLWan(
        channels=1, width=4, decoder_width=4, multipliers=(1, 1, 2), blocks=1, latents=2,
        temporal=(True, True),
    ),
    "2.2": AutoencoderKLWan(
        channels=1, width=4, decoder_width=4, multipliers=(1, 2, 2), blocks=1, latents=2,
        temporal=(True, True), patch=2, residual=True,
    ),
}  # fmt: skip
PUBLISHED = {
    126_892_531: AutoencoderKLWan(),
    704_688_668: AutoencoderKLWan(width=160, decoder_width=256, latents=48, patch=2, residual=True),
}


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    module = SMALL[request.param]
    return module, *noisy(module, (1, 17, *module.strides[1:], 1))


@pytest.mark.parametrize("count", PUBLISHED)
def test_published_size(count):
    module = PUBLISHED[count]
    clip = jax.ShapeDtypeStruct((1, 5, *module.strides[1:], 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), clip)
    assert tree.count(variables["params"]) == count


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
def test_chunks_equal_whole(small, frames):
    module, variables, clip = small
    assert_chunks_equal_whole(module, variables, clip[:, :frames])


def test_longer_chunks_equal_whole(small):
    module, variables, clip = small
    assert_chunks_equal_whole(module, variables, clip, size=2)


def test_latents_see_no_later_frame(small):
    assert_causal(*small)


def test_a_clip_of_one_frame_makes_all_parameters(small):
    module, variables, clip = small
    shapes = jax.eval_shape(module.init, jax.random.key(0), clip[:, :1])
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)


def test_chunks_of_other_lengths_are_refused(small):
    module, variables, clip = small
    with pytest.raises(UserError, match="chunk of 3 frames.*multiples of 4"):
        list(stream(module, variables, [clip[:, :1], clip[:, 1:4]], "encode"))


def test_chunks_cover_the_clip_once():
    frames = jnp.arange(18.0).reshape(1, 18)[:, 1:]
    parts = list(chunks(frames, 2, stride=4))
    assert [part.shape[1] for part in parts] == [5, 8, 4]
    assert jnp.array_equal(jnp.concatenate(parts, 1), frames)
