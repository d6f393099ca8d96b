"""The KL autoencoder: published size, shapes, the posterior's equations, refused sizes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.posterior import DiagonalNormal
from mmjax.errors import UserError

TINY = AutoencoderKL(channels=1, widths=(8, 16), blocks=1, latents=2, groups=4)


def test_stable_diffusion_size():
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(AutoencoderKL().init, jax.random.key(0), image)
    assert tree.count(variables["params"]) == 83_653_863


def test_shapes_and_one_init_for_all_methods():
    images = jax.random.uniform(jax.random.key(0), (2, 8, 12, 1), minval=-1.0)
    variables = jax.jit(TINY.init)(jax.random.key(1), images)
    posterior = jax.jit(functools.partial(TINY.apply, method="encode"))(variables, images)
    assert posterior.mean.shape == (2, *TINY.grid((8, 12, 1)), 2) == (2, 4, 6, 2)
    latents = posterior.sample(jax.random.key(2))
    decoded = jax.jit(functools.partial(TINY.apply, method="decode"))(variables, latents)
    assert decoded.shape == images.shape
    gradients = jax.jit(jax.grad(lambda v: jnp.sum(TINY.apply(v, images) ** 2)))(variables)
    unused = [p for p, g in tree.flatten(gradients["params"]).items() if not np.any(g)]
    assert unused == []


def test_divergence_is_the_integral():
    mean, logvar = 0.7, -0.4
    x = np.linspace(-12, 12, 20001)
    log_p = -0.5 * ((x - mean) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi))
    log_q = -0.5 * (x**2 + np.log(2 * np.pi))
    expected = np.trapezoid(np.exp(log_p) * (log_p - log_q), x)
    point = DiagonalNormal(jnp.full((1, 1, 1, 1), mean), jnp.full((1, 1, 1, 1), logvar))
    np.testing.assert_allclose(point.divergence()[0, 0, 0, 0], expected, rtol=1e-5)


def test_samples_have_the_moments():
    ones = jnp.ones((1, 100, 100, 1))
    samples = DiagonalNormal(2.0 * ones, jnp.log(0.25) * ones).sample(jax.random.key(0))
    np.testing.assert_allclose([samples.mean(), samples.std()], [2.0, 0.5], atol=0.02)


def test_a_side_that_does_not_divide_is_named():
    with pytest.raises(UserError, match="30x32 pixels.*multiples of 8"):
        AutoencoderKL().grid((30, 32, 3))
