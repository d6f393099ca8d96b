"""What the parity tests of sound codecs share."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.parity import codecs
from tests.parity.codecs import last


def first(array):
    """A channels-last array as a PyTorch tensor of its own, channels first."""
    return codecs.first(np.array(array)).clone()


def noise(batch, samples, channels, seed=0):
    """Waveforms with energy at every frequency, within [-1, 1]."""
    draw = np.random.default_rng(seed).normal(0, 0.3, (batch, samples, channels))
    return jnp.asarray(np.clip(draw, -1, 1), jnp.float32)


def assert_same_input_gradient(ours, theirs, sound, tolerance=1e-3):
    """The gradient of one reconstruction loss to its input, channels last here and first there."""
    shape = jax.eval_shape(ours, sound).shape
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = jax.jit(jax.grad(lambda sound: jnp.sum(ours(sound) * weights)))(sound)
    given = first(sound).requires_grad_()
    (theirs(given) * first(weights)).sum().backward()
    expected = last(given.grad)
    error = np.linalg.norm(found - expected)
    assert error <= tolerance * np.linalg.norm(expected) and np.linalg.norm(expected) > 0


def assert_near(found, expected, tolerance=1e-4):
    """The largest error is below ``tolerance`` of the reference's deviation."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * expected.std()


def draw_kernels(torch, reference):
    """Draws kernels so that each layer keeps the deviation; published ones start near silence."""
    with torch.no_grad():
        for parameter in reference.parameters():
            if parameter.ndim == 3:
                parameter.normal_(0, parameter[0].numel() ** -0.5)


def draw_books(torch, vectors, levels, size):
    """Codebooks of residual levels with entries near what each level sees, so that many are used.

    ``vectors`` are those of the first level, channels first.
    """
    left, books = vectors.movedim(1, -1).flatten(0, -2), []
    for _ in range(levels):
        rows = left[torch.randint(len(left), (size,))]
        books.append(rows + 0.3 * left.std(0) * torch.randn_like(rows))
        left = left - books[-1][torch.cdist(left, books[-1]).argmin(1)]
    return books
