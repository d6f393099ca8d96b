"""VQModel, JanusVQVAE and ChameleonVQVAE: codes, reconstruction from codes, gradients, weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.vq import VQAutoencoder
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, first, last, save

pytestmark = pytest.mark.parity

BOTH = {"latent_channels": 4, "num_embeddings": 24}
CASES = {
    "VQModel, three levels": {
        "block_out_channels": (8, 16, 16), "layers_per_block": 2, "latent_channels": 4,
        "norm_num_groups": 4, "num_vq_embeddings": 24, "vq_embed_dim": 6,
        "down_block_types": ("DownEncoderBlock2D",) * 2 + ("AttnDownEncoderBlock2D",),
        "up_block_types": ("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 2,
    },
    "VQModel, two levels": {
        "block_out_channels": (8, 12), "norm_num_groups": 2, "num_vq_embeddings": 24,
        "in_channels": 1, "out_channels": 1, "mid_block_add_attention": False,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
    "JanusVQVAE, three levels": {
        **BOTH, "base_channels": 32, "channel_multiplier": [1, 1, 2], "num_res_blocks": 1,
        "embed_dim": 6,
    },
    "JanusVQVAE, two levels": {
        **BOTH, "base_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 2,
        "embed_dim": 3, "in_channels": 1, "out_channels": 1,
    },
    "ChameleonVQVAE, three levels": {
        **BOTH, "base_channels": 32, "channel_multiplier": [1, 1, 2], "num_res_blocks": 1,
        "embed_dim": 6, "resolution": 64, "attn_resolutions": [32],
    },
    "ChameleonVQVAE, two levels": {
        **BOTH, "base_channels": 32, "channel_multiplier": [1, 2], "num_res_blocks": 2,
        "embed_dim": 3, "in_channels": 1,
    },
}  # fmt: skip


def make(name, fields, diffusers, transformers):
    if name == "VQModel":
        return diffusers.VQModel(**fields)
    module = getattr(transformers.models, name.removesuffix("VQVAE").lower())
    return getattr(module, name)(getattr(module, f"{name}Config")(**fields))


@pytest.fixture(scope="module", params=CASES)
def case(request, torch, diffusers, transformers, randomise, tmp_path_factory):
    """The module, its variables, the reference, its folder, images, and the latents of these.

    Entries of the codebook are drawn near latents, so that many are used.
    """
    reference = randomise(
        make(request.param.partition(",")[0], CASES[request.param], diffusers, transformers)
    )
    with torch.no_grad():
        for parameter in reference.parameters():
            if parameter.ndim > 1:  # transformers draw weights that all but silence the input
                parameter.normal_(0.0, parameter[0].numel() ** -0.5)
    config, levels = reference.config, 2 if "two" in request.param else 3
    shape = (2, 3 * 2 ** (levels - 1), 5 * 2 ** (levels - 1), config.in_channels)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    with torch.no_grad():
        latents = reference.quant_conv(reference.encoder(first(images)))
        rows = latents.movedim(1, -1).flatten(0, -2)
        entries = reference.quantize.embedding.weight
        entries.copy_(rows[: len(entries)] + 0.1 * rows.std() * torch.randn_like(entries))
    folder = save(reference, tmp_path_factory.mktemp("vq"))
    return *load_pretrained(folder), reference, folder, images, latents


def decoded(reference, codes):
    """The reference's picture from a grid of codes, whatever grid it was made for."""
    if not hasattr(reference.quantize, "quant_state_dims"):
        quantised = reference.quantize.embedding(codes).movedim(-1, 1)
        return reference.decode(quantised, force_not_quantize=True).sample
    reference.quantize.quant_state_dims = list(codes.shape[1:])
    return reference.decode(codes.flatten(1))


def test_codes_and_reconstruction(torch, case, assert_near):
    module, variables, reference, _, images, latents = case
    encode = jax.jit(lambda v, x: module.apply(v, x, method="encode"))
    found = encode(variables, images)
    assert_near(found.mean, last(latents))
    result = reference.quantize(latents.detach())
    codes = result[2] if torch.is_tensor(result[2]) else result[2][2]
    codes = codes.reshape(found.codes.shape)
    entries = reference.quantize.embedding.weight
    two = torch.cdist(latents.movedim(1, -1), entries).topk(2, largest=False).values
    clear = (two[..., 1] - two[..., 0] >= 1e-5).numpy()
    np.testing.assert_array_equal(found.codes[clear], codes.numpy()[clear])
    assert clear.mean() > 0.9 and len(codes.unique()) >= 8 and latents.std() >= 0.1
    if not isinstance(module, VQAutoencoder):
        return
    decode = jax.jit(lambda v, z: module.apply(v, z, method="decode"))
    with torch.no_grad():
        expected = decoded(reference, codes)
    assert expected.std() >= 0.1
    assert_near(decode(variables, np.int32(codes.numpy())), last(expected))
    again = decode(variables, found.values)
    assert_near(again, decode(variables, found.codes))


def test_gradient_to_the_input(torch, case, assert_same_gradients):
    """Of encoder and decoder without the choice of codes, which Janus' own class cuts."""
    module, variables, reference, _, images, _ = case
    target = 0.5 * images
    pixels = first(images).requires_grad_()
    output = reference.quant_conv(reference.encoder(pixels))
    if isinstance(module, VQAutoencoder):
        output = reference.decoder(reference.post_quant_conv(output))
        ((output - first(target)) ** 2).mean().backward()
    else:
        (output**2).mean().backward()

    def loss(images):
        output = module.apply(variables, images, method="encode").mean
        if isinstance(module, VQAutoencoder):
            return jnp.mean((module.apply(variables, output, method="decode") - target) ** 2)
        return jnp.mean(output**2)

    found = jax.jit(jax.grad(loss))(images)
    assert_same_gradients({"input": found}, {"input": last(pixels.grad)})


def test_weights_return_unchanged(case, tmp_path):
    _, _, _, folder, _, _ = case
    assert_round_trip(folder, tmp_path, type(case[2]))


def test_commitment_is_the_references(torch, case):
    """Both put the full weight on the encoder's side and a quarter on the codebook's."""
    module, variables, reference, _, images, latents = case
    losses = module.apply(variables, jnp.asarray(images), method="encode").losses
    expected = reference.quantize(latents)[1].item()
    found = losses["commitment"].mean() + 0.25 * losses["codebook"].mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_other_sides_are_refused_with_the_multiple(case):
    module, variables, _, _, images, _ = case
    with pytest.raises(UserError, match=f"multiples of {2 ** (len(module.widths) - 1)}"):
        module.apply(variables, jnp.asarray(images[:, 1:]), method="encode")
