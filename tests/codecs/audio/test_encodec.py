"""EnCodec: published sizes, chunks, what chunks are refused, cross-fades."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.audio.encodec import Encodec, cross_fade
from mmjax.codecs.chunks import chunks, stream
from mmjax.errors import UserError

SMALL = Encodec(
    filters=4, ratios=(2, 3), units=2, memories=1, kernel=5, last=5, inner=5, features=5, levels=2,
    vocabulary=16,
)  # fmt: skip
PUBLISHED = {
    14_851_810: Encodec(),
    14_856_294: Encodec(
        48_000, channels=2, levels=16, causal=False, norm="group", seconds=1.0, overlap=0.01,
        even=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def small():
    sound = jnp.asarray(np.random.default_rng(0).normal(0, 0.3, (1, 6 * 12, 1)), jnp.float32)
    variables = jax.jit(SMALL.init)(jax.random.key(0), sound)
    louder = jax.tree.map(lambda x: 2 * x, variables["params"])  # they begin faint
    return {**variables, "params": louder}, sound


@pytest.mark.parametrize("count", PUBLISHED)
def test_published_size(count):
    module = PUBLISHED[count]
    sound = jax.ShapeDtypeStruct((1, 640, module.channels), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), sound)
    assert tree.count(shapes["params"]) == count


@pytest.mark.parametrize("steps", [5, 6, 12])
def test_chunks_equal_whole(small, steps):
    variables, sound = small
    sound = sound[:, : 6 * steps]
    apply = jax.jit(SMALL.apply, static_argnames="method")
    whole = apply(variables, sound, method="encode")
    cut = [sound[:, :30], *(sound[:, at : at + 6] for at in range(30, 6 * steps, 6))]
    parts = list(stream(SMALL, variables, cut, "encode"))
    np.testing.assert_allclose(jnp.concatenate([p.mean for p in parts], 1), whole.mean, atol=1e-5)
    np.testing.assert_array_equal(jnp.concatenate([p.codes for p in parts], 1), whole.codes)
    decoded = apply(variables, whole.mean, method="decode")
    assert decoded.shape == sound.shape and decoded.std() > 0.01 and whole.mean.std() > 0.01
    cut = [whole.mean[:, :5], *chunks(whole.mean[:, 5:], 1)] if steps > 5 else [whole.mean]
    parts = list(stream(SMALL, variables, cut, "decode"))
    np.testing.assert_allclose(jnp.concatenate(parts, 1), decoded, atol=1e-5)


def test_a_first_chunk_too_short_to_be_mirrored_is_refused(small):
    variables, sound = small
    with pytest.raises(UserError, match="4 steps at a layer whose padding mirrors 4"):
        next(stream(SMALL, variables, chunks(sound, 4, 6, alone=False), "encode"))


def test_segments_take_no_chunks(small):
    variables, sound = small
    with pytest.raises(UserError, match="sees later frames: give it the whole"):
        next(stream(SMALL.clone(even=True), variables, [sound], "encode"))


def test_cross_fades_give_back_what_was_cut():
    sound = jnp.asarray(np.random.default_rng(0).normal(size=(2, 37, 1)), jnp.float32)
    parts = [sound[:, at : at + 10] for at in range(0, 37, 8)]
    np.testing.assert_allclose(cross_fade(parts, 8), sound, atol=1e-6)
    louder = cross_fade([parts[0], 2 * parts[1]], 8)
    share = np.asarray(louder[:, 8:10] / sound[:, 8:10])
    np.testing.assert_allclose(share[0, :, 0], [1 + 1 / 3, 1 + 2 / 3], atol=1e-5)
