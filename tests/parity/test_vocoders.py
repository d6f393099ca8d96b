"""Vocoders: HiFi-GAN against transformers, BigVGAN-v2 against diffusers."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.audio.bigvgan import BigVgan
from mmjax.codecs.audio.hifi_gan import HifiGan
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from tests.parity.codecs import assert_round_trip, save
from tests.parity.sound import assert_near, assert_same_input_gradient, first

pytestmark = pytest.mark.parity

SIZES = (
    {
        "upsample_initial_channel": 16, "upsample_rates": [4, 3], "upsample_kernel_sizes": [8, 7],
        "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 3], [1, 2]],
    },
    {
        "upsample_initial_channel": 8, "upsample_rates": [2], "upsample_kernel_sizes": [4],
        "resblock_kernel_sizes": [7], "resblock_dilation_sizes": [[1, 3, 5]],
    },
)  # fmt: skip


LISTS = ("upsample_factors", "upsample_kernel_sizes", "resnet_kernel_sizes", "resnet_dilations")


def hifi_gan(torch, transformers, index):
    """With and without standardised bins, whose moments are drawn."""
    sizes = {"model_in_dim": (7, 5)[index], "normalize_before": not index, **SIZES[index]}
    config = transformers.SpeechT5HifiGanConfig(leaky_relu_slope=(0.1, 0.2)[index], **sizes)
    reference = transformers.SpeechT5HifiGan(config)
    with torch.no_grad():
        reference.mean.normal_()
        reference.scale.uniform_(0.5, 2)
    return reference, lambda mel: reference(mel[:, 0])[:, None]


def bigvgan(torch, transformers, index):
    """With drawn frequencies and magnitudes."""
    from diffusers.models.autoencoders.mmaudio_vocoder import MMAudioVocoder

    reference = MMAudioVocoder(num_mels=(7, 5)[index], **SIZES[index])
    return reference, lambda mel: reference(mel[:, 0].mT).sample


def ltx2(torch, transformers, index):
    """With one and with two channels."""
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    lists = dict(zip(LISTS, list(SIZES[index].values())[1:], strict=True))
    reference = LTX2Vocoder(
        in_channels=(10, 7)[index], out_channels=(2, 1)[index], hidden_channels=16, **lists
    )
    return reference, lambda mel: reference(mel, time_last=False)


MAKERS = [(maker, index) for maker in (hifi_gan, bigvgan, ltx2) for index in (0, 1)]


@pytest.fixture(scope="module", params=MAKERS)
def case(request, torch, transformers, diffusers, tmp_path_factory):
    """A spectrogram; the reference as a function of it; the folder; what is made of it here."""
    make, index = request.param
    torch.manual_seed(index)
    reference, function = make(torch, transformers, index)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if name.endswith(("alpha", "beta")):
                parameter.normal_(0, 0.5)
            elif parameter.ndim == 3:  # published ones start so small that nothing is heard
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    reference.eval()
    folder = save(reference, tmp_path_factory.mktemp("vocoder"))
    module, variables = load_pretrained(folder)
    mel = np.random.default_rng(0).normal(size=(2, 11, module.bins, getattr(module, "channels", 1)))
    return jnp.asarray(mel, jnp.float32), function, folder, module, variables, type(reference)


def test_sound(torch, case):
    mel, function, _, module, variables, _ = case
    with torch.no_grad():
        expected = function(first(mel).contiguous())
    assert expected.std() > 0.1
    found = jax.jit(lambda v, x: module.apply(v, x, method="decode"))(variables, mel)
    assert_near(np.moveaxis(found, -1, 1), expected.numpy())


def test_input_gradient(case):
    mel, function, _, module, variables, _ = case
    assert_same_input_gradient(lambda mel: module.apply(variables, mel), function, mel)


def test_round_trip(case, tmp_path):
    assert_round_trip(case[2], tmp_path, case[-1])


def test_a_config_without_a_field_is_refused(case, tmp_path):
    folder = shutil.copytree(case[2], tmp_path / "lacking")
    config = json.loads((folder / "config.json").read_text())
    del config["upsample_kernel_sizes"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="has no upsample_kernel_sizes"):
        load_pretrained(folder)


LTX2 = HifiGan(
    bins=64, channels=2, widths=(1024, 512, 256, 128, 64, 32), rates=(6, 5, 2, 2, 2),
    kernels=(16, 15, 8, 4, 4), standardised=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("module", "size"), [(HifiGan(), 12_656_257), (BigVgan(), 122_152_752), (LTX2, 55_592_802)]
)
def test_published_size(module, size):
    mel = jnp.zeros((1, 2, module.bins, 2 if module is LTX2 else 1))
    shapes = jax.eval_shape(module.init, jax.random.key(0), mel)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == size
