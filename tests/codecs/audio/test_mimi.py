"""Mimi: published size, and chunks that give what the whole gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.audio.mimi import Mimi
from mmjax.codecs.chunks import chunks, stream

SMALL = Mimi(
    filters=4, ratios=(2, 3), kernel=5, features=8, depth=2, heads=2, hidden=12, window=4,
    semantic=2, levels=3, vocabulary=16, size=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def small():
    """Parameters whose scales of branches are no longer next to nothing, and a sound."""
    sound = jnp.asarray(np.random.default_rng(0).normal(0, 0.3, (1, 12 * 9, 1)), jnp.float32)
    flat = tree.flatten(jax.jit(SMALL.init)(jax.random.key(0), sound))
    louder = {path: x * 50 if path.endswith("_scale") else x for path, x in flat.items()}
    return tree.unflatten(louder), sound


def test_published_size():
    sound = jax.ShapeDtypeStruct((1, 1920, 1), jnp.float32)
    shapes = jax.eval_shape(Mimi().init, jax.random.key(0), sound)
    assert tree.count(shapes["params"]) == 79_308_609


@pytest.mark.parametrize(("steps", "size"), [(1, 1), (2, 1), (5, 1), (9, 2)])
def test_chunks_equal_whole(small, steps, size):
    variables, sound = small
    sound = sound[:, : 12 * steps]
    apply = jax.jit(SMALL.apply, static_argnames="method")
    whole = apply(variables, sound, method="encode")
    parts = list(stream(SMALL, variables, chunks(sound, size, 12, alone=False), "encode"))
    np.testing.assert_allclose(jnp.concatenate([p.mean for p in parts], 1), whole.mean, atol=1e-5)
    np.testing.assert_array_equal(jnp.concatenate([p.codes for p in parts], 1), whole.codes)
    decoded = apply(variables, whole.mean, method="decode")
    assert decoded.shape == sound.shape and decoded.std() > 0.01 and whole.mean.std() > 0.01
    parts = list(stream(SMALL, variables, chunks(whole.mean, size, alone=False), "decode"))
    np.testing.assert_allclose(jnp.concatenate(parts, 1), decoded, atol=1e-5)


def test_a_step_sees_its_window_and_no_further(small):
    variables, sound = small
    latents = jnp.asarray(np.random.default_rng(1).normal(size=(1, 9, 8)), jnp.float32)

    @jax.jit
    def attended(x):
        return SMALL.apply(variables, x, method=lambda codec, x: codec.encoder_transformer(x))

    change = attended(latents.at[:, 0].multiply(-1.0)) - attended(latents)
    # Each of two blocks reaches three steps back.
    assert np.abs(change[:, 1:7]).max(axis=(0, 2)).min() > 1e-6
    np.testing.assert_array_equal(change[:, 7:], 0)


def test_some_examples_go_on_unquantised_in_training_and_teach_the_codebooks(small):
    variables, sound = small
    codec = SMALL.clone(bypass=0.5)

    @jax.jit
    def encode(sounds):
        return codec.apply(
            variables, sounds, train=True, method="encode", mutable=["codebook"],
            rngs={"codes": jax.random.key(2)},
        )  # fmt: skip

    found, _ = encode(jnp.tile(sound, (16, 1, 1)))
    same = np.all(np.asarray(found.values) == found.mean, axis=(1, 2))
    assert 4 <= same.sum() <= 12  # within four deviations of half
    assert found.codes.min() >= 0 and np.all(found.losses["commitment"] > 0)
    whole = jax.jit(lambda x: codec.apply(variables, x, method="encode"))(sound)
    assert not np.array_equal(whole.values, whole.mean)
