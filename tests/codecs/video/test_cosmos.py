"""Cosmos' video tokenizer: published size, chunks, what they keep, the wavelet transform."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.video.cosmos import AutoencoderKLCosmos
from mmjax.codecs.video.haar import from_bands, to_bands
from mmjax.errors import UserError
from tests.codecs.video.streaming import assert_causal, assert_chunks_equal_whole, noisy

SMALL = AutoencoderKLCosmos(
    channels=1, widths=(4, 4, 4), decoder_widths=(4, 4, 4, 4), blocks=0, latents=2, attention=()
)


@pytest.fixture(scope="module")
def small():
    variables, clip = noisy(SMALL, (1, 33, 8, 8, 1))
    last = variables["params"]["decoder"]["conv_out"]["time"]["conv"]
    last["kernel"] *= 0.1  # the sum of 64 bands rounds at their size
    return variables, clip


def test_published_size():
    clip = jax.ShapeDtypeStruct((1, 9, 8, 8, 3), jnp.float32)
    shapes = jax.eval_shape(AutoencoderKLCosmos().init, jax.random.key(0), clip)
    assert tree.count(shapes["params"]) == 105_653_696


@pytest.mark.parametrize("frames", [1, 9, 17, 33])
def test_chunks_equal_whole(small, frames):
    variables, clip = small
    assert_chunks_equal_whole(SMALL, variables, clip[:, :frames])


def test_latents_see_no_later_frame(small):
    assert_causal(SMALL, *small)


def test_only_attention_along_time_keeps_more_of_longer_clips(small):
    variables, clip = small
    state, sizes = dict(variables), []
    for part in (clip[:, :1], clip[:, 1:9], clip[:, 9:17]):
        advance = functools.partial(SMALL.apply, method="encode", mutable=["cache"])
        state |= jax.eval_shape(advance, state, part)[1]
        sizes.append({path: leaf.shape for path, leaf in tree.flatten(state["cache"]).items()})
    growing = {path for path in sizes[0] if sizes[1][path] != sizes[2][path]}
    assert growing == {"encoder/middle_time/past"}
    assert [size["encoder/middle_time/past"][1] for size in sizes] == [1, 2, 3]


def test_levels_that_are_too_few_are_refused():
    module = SMALL.clone(decoder_widths=(4, 4, 4))
    with pytest.raises(UserError, match="2 levels of decoder_widths make cells of 4 frames"):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 9, 8, 8, 1)))


def test_bands_are_sums_and_differences():
    """The first band is a cell's mean; frames, then rows, then columns tell the others apart."""
    clip = np.random.default_rng(0).normal(size=(1, 2, 4, 2, 3)).astype(np.float32)
    bands = np.asarray(to_bands(jnp.asarray(clip), 2)).reshape(2, 1, 2, 2, 2, 3)
    cells = clip.reshape(2, 2, 2, 2, 3).transpose(1, 0, 2, 3, 4)  # row of cells, frame, row, column
    np.testing.assert_allclose(bands[:, 0, 0, 0, 0], cells.mean((1, 2, 3)), atol=1e-6)
    frames = (cells[:, 0] - cells[:, 1]).mean((1, 2)) / 2
    columns = (cells[:, :, :, 0] - cells[:, :, :, 1]).mean((1, 2)) / 2
    np.testing.assert_allclose(bands[:, 0, 1, 0, 0], frames, atol=1e-6)
    np.testing.assert_allclose(bands[:, 0, 0, 0, 1], columns, atol=1e-6)


@pytest.mark.parametrize("side", [1, 4])
def test_bands_turn_back(side):
    clip = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 4, 12, 3)), jnp.float32)
    np.testing.assert_allclose(from_bands(to_bands(clip, side), side), clip, atol=1e-5)
