"""Mimi against transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, last, save
from tests.parity.sound import (
    assert_near,
    assert_same_input_gradient,
    draw_books,
    draw_kernels,
    first,
    noise,
)

pytestmark = pytest.mark.parity

SMALL = {"num_filters": 4, "codebook_size": 16, "num_hidden_layers": 2, "kernel_size": 5}
CONFIGS = {
    "mono": {
        **SMALL, "sampling_rate": 800, "upsampling_ratios": [4, 2], "hidden_size": 12,
        "num_attention_heads": 3, "num_key_value_heads": 3, "intermediate_size": 20,
        "upsample_groups": 12, "codebook_dim": 6, "vector_quantization_hidden_dimension": 6,
        "num_quantizers": 3, "sliding_window": 5,
    },
    "stereo": {
        **SMALL, "sampling_rate": 1200, "upsampling_ratios": [3, 2], "hidden_size": 8,
        "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 12,
        "upsample_groups": 8, "codebook_dim": 5, "vector_quantization_hidden_dimension": 5,
        "num_quantizers": 4, "num_semantic_quantizers": 2, "audio_channels": 2,
        "num_residual_layers": 2, "last_kernel_size": 5, "residual_kernel_size": 5,
    },
}  # fmt: skip
SAMPLES = {"mono": 16 * 13 + 3, "stereo": 12 * 11 + 7}


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, transformers, torch, tmp_path_factory):
    """The reference, its folder, what is made of it here, and a sound of no round length."""
    torch.manual_seed(0)
    config = transformers.MimiConfig(**CONFIGS[request.param], attn_implementation="eager")
    reference = transformers.MimiModel(config).eval()
    draw_kernels(torch, reference)
    sound = noise(2, SAMPLES[request.param], config.audio_channels)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "layer_scale" in name:
                parameter.uniform_(0.3, 1)
            elif "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif parameter.ndim == 2:
                parameter.normal_(0, parameter.shape[1] ** -0.5)
        latents = reference.encoder(first(sound)).latents
        for part in reference.quantizer.children():
            vectors = part.input_proj(latents)
            books = draw_books(torch, vectors, len(part.layers), config.codebook_size)
            for layer, book in zip(part.layers, books, strict=True):  # all zeros at the start
                layer.codebook.cluster_usage.uniform_(0.5, 2)
                layer.codebook.embed_sum.copy_(book * layer.codebook.cluster_usage[:, None])
    folder = save(reference, tmp_path_factory.mktemp("mimi"))
    return reference, folder, *load_pretrained(folder), sound


def test_codes_and_sound(case, torch):
    reference, _, module, variables, sound = case
    with torch.no_grad():
        latents = reference.encoder(first(sound)).latents
        codes = reference.encode(first(sound)).audio_codes
        made = reference.decode(codes).audio_values
        coarse = reference.decode(codes[:, : module.semantic]).audio_values
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, sound)
    assert_near(found.mean, last(latents))
    np.testing.assert_array_equal(found.codes, last(codes))
    assert found.codes.shape[1:2] == module.grid(sound.shape[1:])
    assert len(np.unique(codes.numpy())) >= 8 and latents.std() > 0.1 and made.std() > 0.1
    decode = jax.jit(lambda v, z: module.apply(v, z, method="decode"))
    sounds = decode(variables, found.codes)
    assert_near(np.moveaxis(sounds, -1, 1), made.numpy())
    some = decode(variables, found.codes[..., : module.semantic])
    assert_near(np.moveaxis(some, -1, 1), coarse.numpy())
    again = jax.jit(module.apply)(variables, sound)
    assert_near(again, np.asarray(sounds[:, : sound.shape[1]]))


def test_input_gradient(case):
    """Of encoder and decoder without the choice of codes, which the reference cuts."""
    reference, _, module, variables, sound = case

    def theirs(sound):
        return reference.decoder(reference.encoder(sound).latents).audio_values

    def ours(sound):
        latents = module.apply(variables, sound, method="encode").mean
        return module.apply(variables, latents, method="decode")

    assert_same_input_gradient(ours, theirs, sound)


def test_round_trip(case, tmp_path):
    assert_round_trip(case[1], tmp_path, type(case[0]))


def test_no_sound_is_refused(case):
    _, _, module, variables, sound = case
    with pytest.raises(UserError, match="sound of 0 samples"):
        module.apply(variables, jnp.zeros((1, 0, module.channels)), method="encode")
