"""The codec of motion: its frames, what each code sees, its levels, refusals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.motion import MotionEncoder, MotionVQ
from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.residual import Residual
from mmjax.errors import UserError

BOOK = MovingAverage(8, 4)
SMALL = {"size": 4, "features": 5, "width": 6, "depth": 2}
CODEC = MotionVQ(BOOK, **SMALL)
LEVELS = MotionVQ(Residual(BOOK, 3), **SMALL)
CLIP = jnp.asarray(np.random.default_rng(0).normal(size=(2, 16, 5)), jnp.float32)


@functools.cache
def variables(codec):
    return jax.jit(codec.init)(jax.random.key(0), CLIP)


@pytest.mark.parametrize(("codec", "codes"), [(CODEC, (2, 4)), (LEVELS, (2, 4, 3))])
def test_codes_and_their_vectors_decode_alike(codec, codes):
    found = codec.apply(variables(codec), CLIP, method="encode")
    assert found.codes.shape == codes == (2, *codec.grid((16, 5)), *codes[2:])
    made = codec.apply(variables(codec), found.values, method="decode")
    again = codec.apply(variables(codec), found.codes, method="decode")
    assert made.shape == CLIP.shape
    np.testing.assert_allclose(made, again, atol=1e-5)
    np.testing.assert_allclose(made, codec.apply(variables(codec), CLIP), atol=1e-5)


def sees(growth):
    """The frames that the fifth of eight vectors depends on."""
    encoder = MotionEncoder(size=1, width=3, halvings=1, depth=2, growth=growth)
    params = encoder.init(jax.random.key(1), jnp.zeros((1, 48, 1)))
    params = jax.tree.map(lambda x: jnp.abs(x) + 0.1, params)  # no ReLU is closed
    slope = jax.grad(lambda x: encoder.apply(params, x)[0, 12, 0])(jnp.ones((1, 48, 1)))
    seen = np.flatnonzero(np.asarray(slope)[0, :, 0])
    return seen.min() - 24, seen.max() - 24


def test_dilations_reach_as_far_as_they_should():
    """Kernels of 3 at dilations 3 and 1, the last of 3, of 4 at stride 2, the first of 3."""
    reach = 3 + 1 + 1
    assert sees(3) == (-2 * reach - 1 - 1, 2 * reach + 2 + 1)
    assert sees(1) != sees(3), "without the dilations it would not"


def test_the_codebook_moves_in_training_alone():
    before = variables(CODEC)["codebook"]
    _, after = CODEC.apply(
        variables(CODEC), CLIP, method="encode", train=True, mutable=["codebook"],
        rngs={"codes": jax.random.key(0)},
    )  # fmt: skip
    moved = tree.flatten(after["codebook"])
    assert all(not np.array_equal(x, tree.flatten(before)[k]) for k, x in moved.items())


def test_other_lengths_are_refused():
    for frames in (15, 0):
        with pytest.raises(UserError, match=f"{frames} frames; this codec takes multiples of 4"):
            CODEC.grid((frames, 5))
