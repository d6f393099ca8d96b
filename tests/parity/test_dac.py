"""The Descript audio codec against transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.audio.dac import Dac
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, last, save
from tests.parity.sound import (
    assert_near,
    assert_same_input_gradient,
    draw_kernels,
    first,
    noise,
)

pytestmark = pytest.mark.parity

CONFIGS = {
    "two rates": {
        "encoder_hidden_size": 8, "decoder_hidden_size": 16, "downsampling_ratios": [2, 4],
        "n_codebooks": 3, "codebook_size": 64, "codebook_dim": 4, "quantizer_dropout": 0.5,
    },
    "odd ratio": {
        "encoder_hidden_size": 6, "decoder_hidden_size": 24, "downsampling_ratios": [2, 3, 2],
        "n_codebooks": 2, "codebook_size": 32, "codebook_dim": 3,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, transformers, torch, tmp_path_factory):
    """The reference, the folder that it writes, and what is made of it here."""
    torch.manual_seed(0)
    reference = transformers.DacModel(transformers.DacConfig(**CONFIGS[request.param])).eval()
    draw_kernels(torch, reference)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.endswith("alpha"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif "codebook" in name:
                parameter.normal_()
        reference.decoder.conv2.weight.mul_(0.1)  # or the tanh at the end is saturated
    folder = save(reference, tmp_path_factory.mktemp("dac"))
    return reference, folder, *load_pretrained(folder)


def test_codes_and_sound(pair, torch):
    reference, _, module, variables = pair
    sound = noise(2, 29 * int(np.prod(module.ratios)), 1)
    with torch.no_grad():
        latents = reference.encoder(first(sound))
        expected = reference.encode(first(sound))
        made = reference.decode(audio_codes=expected.audio_codes).audio_values
        vectors = reference.quantizer.from_codes(expected.audio_codes)[0]
    found = jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, sound)
    assert_near(found.mean, last(latents))
    codes = last(expected.audio_codes)
    np.testing.assert_array_equal(found.codes, codes)
    assert found.codes.shape[1:2] == module.grid(sound.shape[1:]) == (29,)
    assert min(len(np.unique(codes[..., level])) for level in range(module.levels)) >= 8
    assert_near(found.values, last(vectors))
    weighed = 0.25 * found.losses["commitment"].mean() + found.losses["codebook"].mean()
    np.testing.assert_allclose(weighed, expected.loss.mean().item(), rtol=1e-4)
    decode = jax.jit(lambda v, z: module.apply(v, z, method="decode"))
    assert latents.std() > 0.1 and made.std() > 0.1
    assert_near(decode(variables, jnp.int32(codes))[..., 0], made.numpy())
    with torch.no_grad():
        coarse = reference.decode(audio_codes=expected.audio_codes[:, :1]).audio_values
    assert_near(decode(variables, jnp.int32(codes[..., :1]))[..., 0], coarse.numpy())


def test_input_gradient(pair):
    """Through the chosen entries and both projections of each level."""
    reference, _, module, variables = pair
    sound = noise(2, 7 * int(np.prod(module.ratios)), 1)

    def theirs(sound):
        return reference.decoder(reference.encode(sound).quantized_representation)

    def ours(sound):
        vectors = module.apply(variables, sound, method="encode").values
        return module.apply(variables, vectors, method="decode")

    assert_same_input_gradient(ours, theirs, sound)


def test_round_trip(pair, tmp_path):
    assert_round_trip(pair[1], tmp_path, type(pair[0]))


def test_another_length_is_refused(pair):
    _, _, module, variables = pair
    hop = int(np.prod(module.ratios))
    with pytest.raises(UserError, match=f"{hop + 1} samples: Dac takes multiples of {hop}"):
        module.apply(variables, noise(1, hop + 1, 1), method="encode")


def test_published_size():
    shapes = jax.eval_shape(Dac().init, jax.random.key(0), noise(1, 512, 1))
    assert tree.count(shapes["params"]) == 76_620_777
