"""The critic of patches: its published size, and how much of a picture one logit sees."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import tree
from mmjax.models.patch_gan import PatchDiscriminator

KEY = jax.random.key(0)


def test_size_is_the_published_one():
    shapes = jax.eval_shape(PatchDiscriminator().init, KEY, jnp.zeros((1, 64, 64, 3)))
    assert tree.count(shapes["params"]) == 2_765_633
    (verdict,) = jax.eval_shape(PatchDiscriminator().apply, shapes, jnp.zeros((2, 256, 256, 3)))
    assert verdict[-1].shape == (2, 30, 30, 1)
    assert [layer.shape[-1] for layer in verdict] == [64, 128, 256, 512, 1]


def test_a_logit_sees_70_pixels():
    critic, draw = PatchDiscriminator(2, 3), np.random.default_rng(0).normal
    images = jnp.asarray(draw(size=(1, 128, 24, 1)), jnp.float32)
    shapes = jax.eval_shape(critic.init, KEY, images)
    variables = jax.tree.map(lambda leaf: jnp.asarray(draw(size=leaf.shape) ** 2), shapes)
    slope = jax.grad(lambda x: critic.apply(variables, x)[0][-1][0, 7, 0, 0])(images)
    rows = np.flatnonzero(np.abs(slope).sum((0, 2, 3)))
    assert rows[-1] - rows[0] + 1 == 70
