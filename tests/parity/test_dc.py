"""AutoencoderDC against diffusers: latents, reconstruction, gradients, weights both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.dc import AutoencoderDC
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from mmjax.interop.dc import ARCHITECTURES
from mmjax.interop.pretrained import to_public
from tests.parity.codecs import assert_round_trip, first, last, save

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderDC"]
MODULES = {
    "as for SANA": AutoencoderDC(
        channels=3, latents=4, widths=(8, 16, 32), encoder_blocks=(1, 1, 2),
        decoder_blocks=(1, 2, 1), attention=(1, 2), head=4, scales=(3, 5),
    ),
    "as for ImageNet": AutoencoderDC(
        channels=1, latents=3, widths=(8, 12, 24), encoder_blocks=(0, 1, 1),
        decoder_blocks=(0, 2, 1), attention=(2,), head=8, scales=(), shuffled=True,
        batch_normed=(0, 1),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=MODULES)
def case(request, torch, diffusers, randomise, tmp_path_factory):
    """The module, the reference, its folder, and images of odd latent sides."""
    module = MODULES[request.param]
    reference = randomise(diffusers.AutoencoderDC(**ARCHITECTURE.describe(module)))
    for name, moments in reference.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            moments += 0.3 * torch.rand_like(moments)
    folder = save(reference, tmp_path_factory.mktemp("dc"))
    shape = (2, 3 * 4, 5 * 4, module.channels)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    return module, reference, folder, images


def test_latents_and_reconstruction(torch, case, assert_near):
    module, reference, folder, images = case
    loaded, variables = load_pretrained(folder)
    assert loaded == module
    with torch.no_grad():
        latents = reference.encode(first(images)).latent
        expected = reference.decode(latents).sample
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, images)
    assert found.mean.shape[1:3] == module.grid(images.shape[1:]) == (3, 5)
    assert_near(found.mean, last(latents))
    decoded = jax.jit(lambda v, z: module.apply(v, z, method="decode"))
    assert_near(decoded(variables, last(latents)), last(expected))
    assert latents.std() >= 0.1 and expected.std() >= 0.1


def test_gradients(case, assert_same_gradients):
    module, reference, folder, images = case
    _, variables = load_pretrained(folder)
    weights = np.random.default_rng(1).normal(size=images.shape).astype(np.float32)
    pixels = first(images).requires_grad_()
    reference.zero_grad()
    output = reference.decode(reference.encode(pixels).latent).sample
    (output * first(weights)).sum().backward()

    def loss(variables, images):
        return jnp.sum(module.apply(variables, images) * weights)

    trained = {name: tree for name, tree in variables.items() if name != "extras"}
    by_variables, by_images = jax.jit(jax.grad(loss, (0, 1)))(trained, images)
    found = to_public(ARCHITECTURE, module, by_variables)
    expected = {name: p.grad.numpy() for name, p in reference.named_parameters()}
    found = {name: array for name, array in found.items() if name in expected}
    assert_same_gradients(found | {"input": by_images}, expected | {"input": last(pixels.grad)})


def test_weights_return_unchanged(case, diffusers, tmp_path):
    assert_round_trip(case[2], tmp_path, diffusers.AutoencoderDC)


@pytest.mark.parametrize("case", ["as for ImageNet"], indirect=True)
def test_training_uses_and_records_the_moments_of_the_batch(torch, case, assert_near):
    module, reference, folder, images = case
    _, variables = load_pretrained(folder)
    latents = module.apply(variables, jnp.asarray(images), method="encode").mean
    found, state = module.apply(
        variables, latents, train=True, method="decode", mutable=["batch_stats"]
    )
    reference.train()
    with torch.no_grad():
        assert_near(found, last(reference.decode(first(latents)).sample))
    reference.eval()
    old, new = variables["batch_stats"], state["batch_stats"]
    assert not any(jax.tree.leaves(jax.tree.map(np.array_equal, old, new)))


def test_other_sides_are_refused_with_the_multiple(case):
    module, _, folder, images = case
    _, variables = load_pretrained(folder)
    with pytest.raises(UserError, match="multiples of 4"):
        module.apply(variables, jnp.asarray(images[:, 1:]), method="encode")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("decoder_norm_types", "layer_norm", "decoder norms and activations .*layer_norm"),
        ("upsample_block_type", "interpolate", "sampling block types"),
        ("encoder_qkv_multiscales", [[7]] * 6, "qkv_multiscales differ"),
    ],
)
def test_what_is_not_supported_is_named(field, value, said):
    kinds = ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3
    config = {"encoder_block_types": kinds, "decoder_block_types": kinds}
    with pytest.raises(UserError, match=said):
        ARCHITECTURE.build({**config, field: value})
