"""DCGAN against the same networks written with PyTorch's own layers, in training mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.models.gan import Discriminator, Generator

pytestmark = pytest.mark.parity

WIDTHS, CHANNELS, NOISE = (8, 6), 3, 5


@pytest.fixture
def maker(torch, randomise):
    nn = torch.nn
    layers, before = [], NOISE
    for width, stride, padding in ((WIDTHS[0], 1, 0), (WIDTHS[1], 2, 1)):
        layers += [nn.ConvTranspose2d(before, width, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    layers += [nn.ConvTranspose2d(before, CHANNELS, 4, 2, 1, bias=False), nn.Tanh()]
    return randomise(nn.Sequential(*layers)).train()


@pytest.fixture
def judge(torch, randomise):
    nn = torch.nn
    layers = [nn.Conv2d(CHANNELS, WIDTHS[1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(WIDTHS[1], WIDTHS[0], 4, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0])]
    layers += [nn.LeakyReLU(0.2), nn.Conv2d(WIDTHS[0], 1, 4, 1, 0, bias=False), nn.Flatten(0)]
    return randomise(nn.Sequential(*layers)).train()


def norm(state, index):
    return {"scale": state[f"{index}.weight"], "bias": state[f"{index}.bias"]}


def fresh_moments(width):
    return {"mean": np.zeros(width, np.float32), "var": np.ones(width, np.float32)}


def test_generator(torch, maker, state_of, assert_near):
    state = state_of(maker)
    # A transposed convolution here runs its kernel unflipped, PyTorch's is the mirrored gradient.
    kernels = {i: state[f"{i}.weight"].transpose(2, 3, 0, 1) for i in (0, 3, 6)}
    params = {
        "project": {"kernel": kernels[0].transpose(2, 0, 1, 3).reshape(NOISE, -1)},
        "norm_0": norm(state, 1),
        "up_0": {"kernel": kernels[3][::-1, ::-1]},
        "norm_1": norm(state, 4),
        "up_1": {"kernel": kernels[6][::-1, ::-1]},
    }
    moments = {f"norm_{i}": fresh_moments(width) for i, width in enumerate(WIDTHS)}
    noise = np.random.default_rng(0).normal(size=(4, NOISE)).astype(np.float32)
    with torch.no_grad():
        expected = maker(torch.from_numpy(noise)[:, :, None, None]).numpy()
    images, changed = Generator(CHANNELS, WIDTHS).apply(
        {"params": params, "batch_stats": moments},
        jnp.asarray(noise),
        train=True,
        mutable=["batch_stats"],
    )
    assert_near(np.moveaxis(np.asarray(images), -1, 1), expected)
    running = maker[4].running_mean.numpy()
    np.testing.assert_allclose(changed["batch_stats"]["norm_1"]["mean"], running, atol=1e-6)


def test_discriminator_and_its_input_gradient(torch, judge, state_of, assert_near):
    state = state_of(judge)
    kernels = {i: state[f"{i}.weight"].transpose(2, 3, 1, 0) for i in (0, 2, 5)}
    params = {
        "down_0": {"kernel": kernels[0]},
        "down_1": {"kernel": kernels[2]},
        "norm_1": norm(state, 3),
        "logit": {"kernel": kernels[5].reshape(-1, 1)},
    }
    variables = {"params": params, "batch_stats": {"norm_1": fresh_moments(WIDTHS[0])}}
    images = np.random.default_rng(0).normal(size=(4, 16, 16, CHANNELS)).astype(np.float32)
    reference = torch.from_numpy(np.moveaxis(images, -1, 1).copy()).requires_grad_()
    expected = judge(reference)
    expected.square().sum().backward()

    def logits(images):
        module = Discriminator((WIDTHS[1], WIDTHS[0]))
        return module.apply(variables, images, train=True, mutable=["batch_stats"])[0]

    assert_near(logits(jnp.asarray(images)), expected.detach())
    gradient = jax.grad(lambda x: jnp.sum(logits(x) ** 2))(jnp.asarray(images))
    assert_near(np.moveaxis(np.asarray(gradient), -1, 1), reference.grad, tolerance=1e-3)
