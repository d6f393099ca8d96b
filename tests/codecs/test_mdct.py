"""The lapped transform against a direct sum over its basis, and its promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.mdct import MDCT
from mmjax.errors import UserError

HOP, BLOCKS = 16, 5


def sound(blocks=BLOCKS, channels=2, seed=0):
    values = np.random.default_rng(seed).normal(size=(3, blocks * HOP, channels))
    return values.astype(np.float32)


def basis(block, blocks, hop):
    """Rows k: the window times the cosine of ``block``, over the samples of the whole clip."""
    n = np.arange(blocks * hop) - block * hop + 0.5
    window = np.sin(np.pi / 2 * np.clip((n + hop / 2) / hop, 0, 1))
    window = window * np.sin(np.pi / 2 * np.clip((3 * hop / 2 - n) / hop, 0, 1))
    if block == 0:
        window = np.where(n < hop / 2, 1.0, window)
    if block == blocks - 1:
        window = np.where(n > hop / 2, 1.0, window)
    k = np.arange(hop)[:, None] + 0.5
    return np.sqrt(2 / hop) * window * np.cos(np.pi / hop * n * k)


def test_coefficients_are_the_windowed_cosine_sums():
    x = sound()
    rows = np.stack([basis(block, BLOCKS, HOP) for block in range(BLOCKS)])
    expected = np.einsum("mkl,blc->bmck", rows, x).reshape(3, BLOCKS, 2 * HOP)
    found = MDCT(HOP, exponent=1.0, scale=1.0).encode(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("exponent", [1.0, 0.5])
@pytest.mark.parametrize("blocks", [1, 2, BLOCKS])
def test_decode_inverts_encode(exponent, blocks):
    codec, x = MDCT(HOP, exponent), sound(blocks)
    latents = jax.jit(codec.encode)(x)
    assert latents.shape == (3, *codec.grid(x.shape[1:]), codec.channels(x.shape[1:]))
    np.testing.assert_allclose(jax.jit(codec.decode)(latents), x, atol=1e-5)


def test_full_size_clip_comes_back_to_1e_5():
    x = np.random.default_rng(1).uniform(-1, 1, (1, 15360, 2)).astype(np.float32)
    codec = MDCT()
    np.testing.assert_allclose(codec.decode(codec.encode(jnp.asarray(x))), x, atol=1e-5)


def test_linear_coefficients_keep_energy():
    x = sound()
    latents = MDCT(HOP, exponent=1.0, scale=1.0).encode(jnp.asarray(x))
    np.testing.assert_allclose(np.sum(np.square(latents)), np.sum(np.square(x)), rtol=1e-5)


def test_channels_are_major_in_the_features():
    x = sound()
    x[..., 1] = 0
    latents = np.asarray(MDCT(HOP).encode(jnp.asarray(x)))
    assert np.all(latents[..., HOP:] == 0) and np.all(latents[..., :HOP] != 0)


def test_a_click_stays_within_the_window_of_its_block():
    x = np.zeros((1, BLOCKS * HOP, 1), np.float32)
    x[0, 2 * HOP + 1] = 1.0
    energy = np.sum(np.square(MDCT(HOP).encode(jnp.asarray(x))), axis=(0, 2))
    assert np.all(energy[[0, 3, 4]] == 0) and np.all(energy[[1, 2]] > 0)


def test_gradient_is_finite_at_silence():
    gradient = jax.grad(lambda x: jnp.sum(MDCT(HOP).encode(x) ** 2))(jnp.zeros((1, HOP, 1)))
    assert np.all(np.isfinite(gradient))
    gradient = jax.grad(lambda z: jnp.sum(MDCT(HOP).decode(z)))(jnp.zeros((1, 2, HOP)))
    assert np.all(np.isfinite(gradient))


def test_default_scale_gives_struck_tones_about_unit_spread():
    rate, rng = 8000, np.random.default_rng(0)
    seconds = np.arange(15360) / rate
    clip = np.zeros(15360)
    for onset in rng.uniform(0, 1.8, 6):
        after = np.maximum(seconds - onset, 0)
        ring = np.exp(-after / 0.12) * np.sin(2 * np.pi * rng.uniform(300, 1500) * after)
        clip += 0.4 * ring
    spread = np.std(MDCT().encode(jnp.asarray(clip[None, :, None], jnp.float32)))
    assert 0.7 < spread < 1.4


def test_an_uneven_length_names_the_multiple():
    with pytest.raises(UserError, match=r"1000 samples.*multiple of hop=128, such as 896 or 1024"):
        MDCT().encode(jnp.zeros((1, 1000, 2)))


@pytest.mark.parametrize("fields", [{"hop": 15}, {"exponent": 0.0}, {"exponent": 2.0}])
def test_impossible_settings_are_refused(fields):
    with pytest.raises(UserError, match=next(iter(fields))):
        MDCT(**fields)
