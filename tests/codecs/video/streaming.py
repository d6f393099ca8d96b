"""What the tests of causal video autoencoders share: chunks give what whole clips give."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax import tree
from mmjax.codecs.chunks import chunks, stream


def assert_chunks_equal_whole(codec, variables, clip, size=1):
    """Chunks of ``size`` latent frames, joined, are within 1e-5 of the whole, both ways."""
    apply = jax.jit(codec.apply, static_argnames="method")
    whole = apply(variables, clip, method="encode").mean
    parts = list(stream(codec, variables, chunks(clip, size, codec.strides[0]), "encode"))
    assert len(parts) == -(-whole.shape[1] // size)
    np.testing.assert_allclose(jnp.concatenate([p.mean for p in parts], 1), whole, atol=1e-5)
    latents = jnp.asarray(np.random.default_rng(1).normal(size=whole.shape), jnp.float32)
    decoded = apply(variables, latents, method="decode")
    assert decoded.shape == clip.shape
    parts = list(stream(codec, variables, chunks(latents, size), "decode"))
    np.testing.assert_allclose(jnp.concatenate(parts, 1), decoded, atol=1e-5)
    assert np.std(whole) > 0.01 and np.std(decoded) > 0.01


def noisy(codec, shape, seed=0):
    """Random parameters, none of them zero or one, and a clip."""
    clip = jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)
    shapes = tree.flatten(jax.eval_shape(codec.init, jax.random.key(0), clip))
    draw = np.random.default_rng(seed + 1).standard_normal
    filled = {}
    for path, leaf in shapes.items():
        noise = draw(leaf.shape).astype(np.float32)
        if path.endswith("kernel"):
            filled[path] = noise / np.sqrt(np.prod(leaf.shape[:-1]))
        else:
            filled[path] = 0.1 * noise + path.endswith("scale")
    variables = tree.unflatten(filled)
    assert set(variables) == {"params"}
    return variables, clip


def assert_causal(codec, variables, clip):
    """What comes later changes no latent: the first of them are those of the first frames."""
    time = codec.strides[0]
    apply = jax.jit(codec.apply, static_argnames="method")
    whole = apply(variables, clip, method="encode").mean
    changed = apply(variables, clip.at[:, 1 + time :].set(0.0), method="encode").mean
    np.testing.assert_allclose(changed[:, :2], whole[:, :2], atol=1e-5)
    assert np.abs(changed[:, 2:] - whole[:, 2:]).max() > 1e-3
