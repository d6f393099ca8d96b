"""AutoencoderKL against diffusers: moments, reconstruction, gradients, weights both ways."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.kl import AutoencoderKL
from mmjax.errors import UserError
from mmjax.interop import load_pretrained, save_pretrained
from mmjax.interop.kl import ARCHITECTURES, modernise
from mmjax.interop.pretrained import from_public, to_public
from tests.parity.codecs import assert_round_trip, first, last, pull, save

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKL"]
MODULES = {
    "f4": AutoencoderKL(channels=3, widths=(8, 16, 16), blocks=2, latents=4, groups=4),
    "f2 attending": AutoencoderKL(
        channels=1, widths=(8, 12), blocks=1, latents=3, groups=2, attention=(1,), middle=False,
        projected=False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODULES)
def case(request, diffusers, randomise, tmp_path_factory):
    """The module, the reference, the folder that it saved, and images of odd latent sides."""
    module = MODULES[request.param]
    reference = randomise(diffusers.AutoencoderKL(**ARCHITECTURE.describe(module)))
    folder = save(reference, tmp_path_factory.mktemp("kl"))
    stride = 2 ** (len(module.widths) - 1)
    shape = (2, 3 * stride, 5 * stride, module.channels)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    return module, reference, folder, images


def test_moments_and_reconstruction(torch, case, assert_near):
    module, reference, folder, images = case
    loaded, variables = load_pretrained(folder)
    assert loaded == module
    with torch.no_grad():
        posterior = reference.encode(first(images)).latent_dist
        expected = reference.decode(posterior.mean).sample
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, images)
    assert found.mean.shape[1:3] == module.grid(images.shape[1:]) == (3, 5)
    assert_near(found.mean, last(posterior.mean))
    assert_near(found.logvar, last(posterior.logvar))
    # One number an example: their spread is no scale to hold an error of rounding to.
    np.testing.assert_allclose(found.divergence().sum((1, 2, 3)), posterior.kl(), rtol=1e-5)
    decoded = jax.jit(lambda v, z: module.apply(v, z, method="decode"))
    assert_near(decoded(variables, last(posterior.mean)), last(expected))
    assert posterior.mean.std() >= 0.1 and expected.std() >= 0.1


def test_gradients(torch, case, assert_same_gradients):
    module, reference, folder, images = case
    _, variables = load_pretrained(folder)
    weights = np.random.default_rng(1).normal(size=images.shape).astype(np.float32)
    pixels = first(images).requires_grad_()
    posterior = reference.encode(pixels).latent_dist
    # The mean alone would leave the half of the moments' kernel that gives the variance unread.
    reference.zero_grad()
    output = reference.decode(posterior.mean).sample
    ((output * first(weights)).sum() + posterior.logvar.sum()).backward()

    def loss(params, images):
        posterior = module.apply({"params": params}, images, method="encode")
        output = module.apply({"params": params}, posterior.mean, method="decode")
        return jnp.sum(output * weights) + jnp.sum(posterior.logvar)

    by_params, by_images = jax.jit(jax.grad(loss, (0, 1)))(variables["params"], images)
    found = to_public(ARCHITECTURE, module, {"params": by_params})
    expected = {name: p.grad.numpy() for name, p in reference.named_parameters()}
    assert_same_gradients(found | {"input": by_images}, expected | {"input": last(pixels.grad)})


@pytest.mark.parametrize("half", [False, True])
def test_weights_return_unchanged(case, half, tmp_path):
    _, reference, folder, _ = case
    if half:
        folder = save(copy.deepcopy(reference).half(), tmp_path / "half")
    assert_round_trip(folder, tmp_path)


def test_the_reference_reads_what_is_written(torch, diffusers, case, tmp_path):
    module, reference, folder, images = case
    _, variables = load_pretrained(folder)
    save_pretrained(module, {"params": variables["params"]}, tmp_path)
    again = diffusers.AutoencoderKL.from_pretrained(tmp_path)
    for (name, one), other in zip(
        reference.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_former_names_of_the_attention_are_read(case):
    module, reference, _, _ = case
    state, former = pull(reference), {}
    for name, array in state.items():
        if ".attentions." in name and "group_norm" not in name:
            for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
                name = name.replace(f".{new}.", f".{old}.")
            name = name.replace(".to_out.0.", ".proj_attn.")
            array = array[:, :, None, None] if array.ndim == 2 else array
        former[name] = array
    assert former.keys() != state.keys() and modernise(former).keys() == state.keys()
    found, expected = (from_public(ARCHITECTURE, module, s) for s in (former, state))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, found, expected)))


def test_other_sides_are_refused_with_the_multiple(case):
    module, _, folder, images = case
    _, variables = load_pretrained(folder)
    stride = 2 ** (len(module.widths) - 1)
    with pytest.raises(UserError, match=f"multiples of {stride}"):
        module.apply(variables, jnp.asarray(images[:, 1:]), method="encode")


def test_another_size_is_refused_by_key(case):
    module, reference, _, _ = case
    with pytest.raises(UserError, match="missing keys: decoder"):
        from_public(ARCHITECTURE, module.clone(blocks=module.blocks + 1), pull(reference))
