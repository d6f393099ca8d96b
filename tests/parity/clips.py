"""What the parity tests of video autoencoders share: a public class, its folder, and clips."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from mmjax.interop.architecture import find
from mmjax.interop.pretrained import to_public
from tests.parity.codecs import first, last, pull, save


@dataclasses.dataclass
class Case:
    """A module, the reference with its weights, the folder that it saved, and a clip."""

    module: Any
    reference: Any
    folder: pathlib.Path
    variables: Any
    clip: np.ndarray


def make_case(module, reference, folder, latent_grid):
    """Saves and loads ``reference``; the clip fills a latent grid."""
    folder = save(reference, folder)
    loaded, variables = load_pretrained(folder)
    assert loaded == module
    time, rows, columns = module.strides
    frames = 1 + (latent_grid[0] - 1) * time
    shape = (2, frames, latent_grid[1] * rows, latent_grid[2] * columns, module.channels)
    clip = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    assert module.grid(shape[1:]) == latent_grid
    return Case(module, reference, folder, variables, clip)


def encode(reference, clip):
    return reference.encode(clip).latent_dist


def decode(reference, latents):
    return reference.decode(latents).sample


def assert_shorter_is_refused(case, axis):
    """A clip that is one frame, row or column too short is refused in a line with the multiples."""
    clip = jnp.asarray(case.clip).take(jnp.arange(case.clip.shape[axis] - 1), axis)
    time, side, _ = case.module.strides
    message = f"{time}k . 1 frames and sides that are multiples of {side}"
    with pytest.raises(UserError, match=message):
        case.module.apply(case.variables, clip, method="encode")


def assert_same_numbers(torch, case, assert_near, encode=encode, decode=decode):
    """Encoding and decoding give the reference's numbers, and these vary enough to tell.

    ``encode(reference, clip)`` and ``decode(reference, latents)`` call the reference.
    """
    with torch.no_grad():
        posterior = encode(case.reference, first(case.clip))
        expected = decode(case.reference, posterior.mode())
    apply = jax.jit(case.module.apply, static_argnames="method")
    params = {"params": case.variables["params"]}
    found = apply(params, case.clip, method="encode")
    assert_near(found.mean, last(posterior.mode()))
    if hasattr(found, "logvar"):
        assert_near(found.logvar, last(posterior.logvar))
    assert_near(apply(params, last(posterior.mode()), method="decode"), last(expected))
    assert posterior.mode().std() >= 0.1 and expected.std() >= 0.1


def assert_same_gradients_of_all(case, assert_same_gradients, encode=encode, decode=decode):
    """Gradients with respect to the clip and every weight are the reference's."""
    weights = np.random.default_rng(1).normal(size=case.clip.shape).astype(np.float32)
    pixels = first(case.clip).requires_grad_()
    posterior = encode(case.reference, pixels)
    case.reference.zero_grad()
    total = (decode(case.reference, posterior.mode()) * first(weights)).sum()
    # The mean alone would leave the half of the moments' kernel that gives the variance unread.
    total = total + posterior.logvar.sum() if hasattr(posterior, "logvar") else total
    total.backward()

    def loss(params, clip):
        posterior = case.module.apply({"params": params}, clip, method="encode")
        output = case.module.apply({"params": params}, posterior.mean, method="decode")
        spread = jnp.sum(posterior.logvar) if hasattr(posterior, "logvar") else 0.0
        return jnp.sum(output * weights) + spread

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    by_params, by_clip = gradient(case.variables["params"], case.clip)
    architecture = find(type(case.reference).__name__, "")
    found = to_public(architecture, case.module, {"params": by_params})
    expected = {
        name: p.grad.numpy() for name, p in case.reference.named_parameters() if p.grad is not None
    }
    assert_same_gradients(found | {"input": by_clip}, expected | {"input": last(pixels.grad)})
    assert set(pull(case.reference)) >= set(found)
