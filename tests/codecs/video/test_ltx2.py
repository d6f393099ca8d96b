"""LTX-2's video autoencoder: published size, chunks, windows, refused sizes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.chunks import stream
from mmjax.codecs.video.ltx2 import AutoencoderKLLTX2Video
from mmjax.codecs.video.windows import decode_windows
from mmjax.errors import UserError
from tests.codecs.video.streaming import assert_causal, assert_chunks_equal_whole, noisy

CAUSAL = AutoencoderKLLTX2Video(
    channels=1, latents=2, widths=(4, 4, 8), blocks=(1, 0, 0, 1), patch=2,
    down=("temporal", "temporal", "spatiotemporal"), decoder_width=8, narrowing=(2, 1, 1),
    decoder_blocks=(1, 0, 0, 1), up=("spatiotemporal", "temporal", "temporal"),
    causal_decoder=True,
)  # fmt: skip
SEEING = AutoencoderKLLTX2Video(
    channels=1, latents=2, widths=(4,), blocks=(0, 0), patch=1, down=("temporal",),
    decoder_width=4, narrowing=(1,), decoder_blocks=(1, 1), up=("temporal",),
)  # fmt: skip


@pytest.fixture(scope="module")
def causal():
    return noisy(CAUSAL, (1, 33, 8, 8, 1))


def test_published_size():
    clip = jax.ShapeDtypeStruct((1, 9, 64, 64, 3), jnp.float32)
    shapes = jax.eval_shape(AutoencoderKLLTX2Video().init, jax.random.key(0), clip)
    assert tree.count(shapes["params"]) == 1_222_479_601
    assert AutoencoderKLLTX2Video().strides == (8, 32, 32)


@pytest.mark.parametrize("frames", [1, 9, 17, 33])
def test_chunks_equal_whole(causal, frames):
    variables, clip = causal
    assert_chunks_equal_whole(CAUSAL, variables, clip[:, :frames])


def test_latents_see_no_later_frame(causal):
    assert_causal(CAUSAL, *causal)


def test_what_is_kept_does_not_grow(causal):
    variables, clip = causal
    state, shapes = dict(variables), []
    for part in (clip[:, :1], clip[:, 1:9], clip[:, 9:17]):
        advance = functools.partial(CAUSAL.apply, method="encode", mutable=["cache"])
        state |= jax.eval_shape(advance, state, part)[1]
        shapes.append(jax.tree.map(jnp.shape, state["cache"]))
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.fixture(scope="module")
def seeing():
    variables, _ = noisy(SEEING, (1, 3, 2, 2, 1))
    latents = jnp.asarray(np.random.default_rng(0).normal(size=(1, 16, 2, 2, 2)), jnp.float32)
    decode = jax.jit(lambda z: SEEING.apply(variables, z, method="decode"))
    return variables, latents, decode


def test_frames_are_decoded_from_those_within_reach(seeing):
    """A change of one latent frame changes output up to ``reach`` latents away, and no further."""
    variables, latents, decode = seeing
    change = np.abs(decode(latents.at[:, 8].add(1.0)) - decode(latents)).max((0, 2, 3, 4))
    first, *_, last = np.flatnonzero(change)
    assert first // 2 in (8 - SEEING.reach, 8 - SEEING.reach + 1)
    assert last // 2 in (8 + SEEING.reach - 1, 8 + SEEING.reach)
    with pytest.raises(UserError, match="decode sees later frames"):
        next(stream(SEEING, variables, [latents], "decode"))


def test_windows_that_overlap_by_the_reach_equal_the_whole(seeing):
    """With less the error falls with the overlap."""
    variables, latents, decode = seeing
    whole, errors = decode(latents), []
    for overlap in (1, 3, SEEING.reach):
        parts = list(decode_windows(SEEING, variables, latents, 8, overlap))
        assert [part.shape[1] for part in parts] == [15, 16]
        errors.append(float(np.abs(jnp.concatenate(parts, 1) - whole).max() / whole.std()))
    assert errors[0] > 2 * errors[1] > 1e-3
    assert errors[2] <= 1e-5
    with pytest.raises(UserError, match="overlap by 0: give 1 or more"):
        next(decode_windows(SEEING, variables, latents, 8, 0))


def test_latents_without_a_mirror_image_are_refused(causal):
    with pytest.raises(UserError, match="latents of 1x2: .*sides of 2 and more"):
        CAUSAL.apply(causal[0], jnp.zeros((1, 1, 1, 2, 2)), method="decode")


def test_halves_that_do_not_fit_are_refused():
    module = SEEING.clone(up=("spatial",))
    with pytest.raises(UserError, match=r"down=.*\(2, 1, 1\).*up=.*\(1, 2, 2\)"):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 3, 2, 2, 1)))
