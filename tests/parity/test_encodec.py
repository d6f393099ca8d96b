"""EnCodec against transformers: one causal stream, and segments of equal loudness."""

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

SMALL = {"sampling_rate": 800, "num_filters": 4, "codebook_size": 32}
CONFIGS = {
    "stream": {
        **SMALL, "upsampling_ratios": [4, 2], "hidden_size": 6, "num_residual_layers": 2,
        "target_bandwidths": [0.5, 1.5], "kernel_size": 5, "residual_kernel_size": 5,
    },
    "segments": {
        **SMALL, "upsampling_ratios": [3, 2], "hidden_size": 5, "audio_channels": 2,
        "target_bandwidths": [1.34], "use_causal_conv": False, "norm_type": "time_group_norm",
        "normalize": True, "chunk_length_s": 0.08, "overlap": 0.125, "num_lstm_layers": 1,
        "last_kernel_size": 3, "use_conv_shortcut": False,
    },
}  # fmt: skip
SAMPLES = {"stream": 8 * 29 + 3, "segments": 56 * 3 + 25}


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, transformers, torch, tmp_path_factory):
    """The reference, its folder, what is made of it here, and a sound of no round length."""
    torch.manual_seed(0)
    config = transformers.EncodecConfig(**CONFIGS[request.param])
    reference = transformers.EncodecModel(config).eval()
    draw_kernels(torch, reference)
    if config.norm_type == "weight_norm":  # or too little is heard
        factors = reference.decoder.layers[-1].conv.parametrizations.weight
        factors.original0.data.mul_(4)
    sound = noise(2, SAMPLES[request.param], config.audio_channels)
    with torch.no_grad():
        layers, latents = reference.quantizer.layers, reference.encoder(first(sound))
        books = draw_books(torch, latents, len(layers), config.codebook_size)
        for layer, book in zip(layers, books, strict=True):  # all zeros at the start
            layer.codebook.embed.copy_(book)
            layer.codebook.embed_avg.normal_()
            layer.codebook.cluster_size.uniform_(0.5, 2)
    folder = save(reference, tmp_path_factory.mktemp("encodec"))
    return reference, folder, *load_pretrained(folder), sound


def test_codes_and_sound(case, torch):
    reference, _, module, variables, sound = case
    with torch.no_grad():
        expected = reference.encode(first(sound), bandwidth=reference.config.target_bandwidths[-1])
        short = expected.last_frame_pad_length
        made = reference.decode(
            expected.audio_codes, expected.audio_scales, last_frame_pad_length=short
        ).audio_values
    rows = [last(codes) for codes in expected.audio_codes]  # of each segment
    rows[-1] = rows[-1][:, : rows[-1].shape[1] - short]
    codes = np.concatenate(rows, axis=1)
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, sound)
    np.testing.assert_array_equal(found.codes, codes)
    assert found.codes.shape[1:2] == module.grid(sound.shape[1:])
    assert min(len(np.unique(codes[..., level])) for level in range(module.levels)) >= 8
    scales = None
    if module.even:
        scales = np.concatenate([scale.numpy() for scale in expected.audio_scales], axis=1)
        assert_near(found.scales, scales)
    decode = jax.jit(lambda v, z, s: module.apply(v, z, s, method="decode"))
    assert made.std() > 0.1
    sounds = decode(variables, jnp.int32(codes), scales)
    assert_near(np.moveaxis(sounds, -1, 1), made.numpy())
    again = jax.jit(module.apply)(variables, sound)
    assert_near(again, np.asarray(sounds[:, : sound.shape[1]]))


def test_latents_and_input_gradient(case, torch):
    """Of encoder and decoder without the choice of codes, which the reference cuts."""
    reference, _, module, variables, sound = case
    with torch.no_grad():
        latents = reference.encoder(first(sound))
    encode = jax.jit(lambda v, x: module.apply(v, x, method=lambda codec, x: codec.encoder(x)))
    found = encode(variables, sound)
    assert latents.std() > 0.1
    assert_near(found, last(latents))

    def ours(sound):
        return module.apply(
            variables, sound, method=lambda codec, x: codec.decoder(codec.encoder(x))
        )

    assert_same_input_gradient(ours, lambda x: reference.decoder(reference.encoder(x)), sound)


def test_round_trip(case, tmp_path):
    assert_round_trip(case[1], tmp_path, type(case[0]))


def test_lengths_that_are_refused(case):
    _, _, module, variables, sound = case
    with pytest.raises(UserError, match="sound of 0 samples"):
        module.apply(variables, sound[:, :0], method="encode")
    if module.seconds:
        with pytest.raises(UserError, match="last but one is cut short; give 56 samples"):
            module.apply(variables, sound[:, :59], method="encode")
