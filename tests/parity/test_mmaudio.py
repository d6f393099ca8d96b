"""MMAudio's spectrogram autoencoder against diffusers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio.mel import hann, mel_filters
from mmjax.codecs.audio.mmaudio import MMAudio
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, last, save
from tests.parity.sound import assert_near, assert_same_input_gradient, first, noise

pytestmark = pytest.mark.parity

CONFIGS = {
    "three levels": {
        "mel_bins": 10, "latent_channels": 3, "hidden_channels": 6,
        "channel_multipliers": (1, 2, 3), "layers_per_block": 1, "sample_rate": 8_000,
        "n_fft": 64, "hop_length": 16,
    },
    "two levels": {
        "mel_bins": 7, "latent_channels": 2, "hidden_channels": 8, "channel_multipliers": (1, 1),
        "layers_per_block": 2, "sample_rate": 16_000, "n_fft": 32, "hop_length": 8,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, diffusers, torch, tmp_path_factory):
    """The reference with drawn gains and moments, its folder, and what is made of it here."""
    from diffusers.models.autoencoders.autoencoder_mmaudio import MMAudioVAE

    torch.manual_seed(0)
    reference = MMAudioVAE(**CONFIGS[request.param]).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if parameter.ndim == 3:  # released weights have unit norm times this
                parameter.normal_(0, parameter[0].numel() ** -0.5)
            elif name.endswith("gain"):
                parameter.normal_(0, 0.3)
        reference.vae.data_mean.normal_()
        reference.vae.data_std.uniform_(0.5, 2)
    folder = save(reference, tmp_path_factory.mktemp("mmaudio"))
    return reference, folder, *load_pretrained(folder)


def test_posterior_and_spectrogram(pair, torch):
    reference, _, module, variables = pair
    sound = noise(2, 11 * 2 * module.hop, 1)
    with torch.no_grad():
        posterior = reference.encode(first(sound)[:, 0]).latent_dist
        expected = reference.decode(posterior.mean).sample
    assert posterior.mean.std() > 0.1 and expected.std() > 0.1
    apply = jax.jit(module.apply, static_argnames="method")
    found = apply(variables, sound, method="encode")
    assert found.mean.shape[1:2] == module.grid(sound.shape[1:]) == (11,)
    assert_near(found.mean, last(posterior.mean))
    assert_near(found.logvar, last(posterior.logvar))
    latents = jnp.asarray(last(posterior.mean))
    assert_near(apply(variables, latents, method="decode")[..., 0], last(expected))


def test_own_constants(pair):
    """The filters and the window that a module starts with are the published ones."""
    _, _, module, variables = pair
    sound = noise(1, 11 * 2 * module.hop, 1)
    own = jax.eval_shape(module.init, jax.random.key(0), sound)["constants"]
    assert {name: array.shape for name, array in own.items()} == {
        name: array.shape for name, array in variables["constants"].items()
    }
    filters = mel_filters(module.rate, module.window, module.bins)
    for found, name in ((filters, "filters"), (hann(module.window), "window")):
        np.testing.assert_allclose(found, variables["constants"][name], atol=1e-6, rtol=1e-4)


def test_input_gradient(pair):
    reference, _, module, variables = pair

    def theirs(sound):
        mel = reference.decode(reference.encode(sound[:, 0]).latent_dist.mean).sample
        return mel[:, None].mT

    sound = 0.9 * noise(2, 7 * 2 * module.hop, 1)  # at its edges a clip has no one gradient
    assert_same_input_gradient(lambda x: module.apply(variables, x), theirs, sound)


def test_round_trip(pair, tmp_path):
    assert_round_trip(pair[1], tmp_path, type(pair[0]))


def test_another_length_is_refused(pair):
    _, _, module, variables = pair
    samples = 6 * module.hop + 1
    with pytest.raises(UserError, match=f"sound of {samples} samples: MMAudio takes multiples of"):
        module.apply(variables, noise(1, samples, 1), method="encode")


def test_published_size():
    sound = jnp.zeros((1, 2048, 1))
    shapes = jax.eval_shape(MMAudio().init, jax.random.key(0), sound)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 305_479_682
