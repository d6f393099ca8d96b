"""The waveform autoencoder of Stable Audio against diffusers."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio.oobleck import Oobleck
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, last, save
from tests.parity.sound import assert_same_input_gradient, first, noise

pytestmark = pytest.mark.parity

CONFIGS = {
    "stereo": {
        "encoder_hidden_size": 12, "decoder_input_channels": 6, "decoder_channels": 8,
        "downsampling_ratios": [2, 4], "channel_multiples": [1, 2], "audio_channels": 2,
    },
    "odd ratio": {
        "encoder_hidden_size": 8, "decoder_input_channels": 4, "decoder_channels": 12,
        "downsampling_ratios": [3, 2], "channel_multiples": [2, 3], "audio_channels": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, diffusers, torch, tmp_path_factory):
    """The reference, the folder that it writes, and what is made of it here."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a former form of weight normalisation
        reference = diffusers.AutoencoderOobleck(**CONFIGS[request.param]).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.endswith(("alpha", "beta")):  # zeros at the start
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif name == "decoder.conv2.weight_g":  # or too little is heard
                parameter.mul_(3)
    folder = save(reference, tmp_path_factory.mktemp("oobleck"))
    return reference, folder, *load_pretrained(folder)


def test_posterior_and_sound(pair, torch, assert_near):
    reference, _, module, variables = pair
    steps, hop = 13, int(np.prod(module.ratios))
    sound = noise(2, steps * hop, module.channels)
    with torch.no_grad():
        posterior = reference.encode(first(sound)).latent_dist
        expected = last(reference.decode(posterior.mean).sample)
    assert posterior.mean.std() > 0.1 and expected.std() > 0.1
    apply = jax.jit(module.apply, static_argnames="method")
    found = apply(variables, sound, method="encode")
    assert found.mean.shape[1:2] == module.grid(sound.shape[1:]) == (steps,)
    assert_near(found.mean, last(posterior.mean))
    assert_near(found.logvar, last(posterior.logvar))
    latents = jnp.asarray(last(posterior.mean))
    assert_near(apply(variables, latents, method="decode"), expected)


def test_input_gradient(pair, torch):
    reference, _, module, variables = pair
    sound = noise(2, 7 * int(np.prod(module.ratios)), module.channels)

    def theirs(sound):
        return reference.decode(reference.encode(sound).latent_dist.mean).sample

    def ours(sound):
        latents = module.apply(variables, sound, method="encode").mean
        return module.apply(variables, latents, method="decode")

    assert_same_input_gradient(ours, theirs, sound)
    # an odd ratio costs the last samples: the whole codec gives silence there
    made, whole = jax.jit(ours)(sound), jax.jit(module.apply)(variables, sound)
    assert whole.shape == sound.shape and not np.any(whole[:, made.shape[1] :])
    np.testing.assert_allclose(whole[:, : made.shape[1]], made, atol=1e-5)


def test_round_trip(pair, tmp_path):
    assert_round_trip(pair[1], tmp_path, type(pair[0]))


def test_another_length_is_refused(pair):
    _, _, module, variables = pair
    hop = int(np.prod(module.ratios))
    message = rf"sound of {hop + 1} samples: Oobleck takes multiples of {hop}, such as {hop} or"
    with pytest.raises(UserError, match=message):
        module.apply(variables, noise(1, hop + 1, module.channels), method="encode")


def test_published_size():
    shapes = jax.eval_shape(Oobleck().init, jax.random.key(0), noise(1, 2048, 2))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 156_112_514
