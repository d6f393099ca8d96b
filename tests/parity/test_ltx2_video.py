"""LTX-2's video autoencoder against diffusers."""

import json

import pytest

from mmjax.codecs.video.ltx2 import AutoencoderKLLTX2Video
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from mmjax.interop.ltx2_video import ARCHITECTURES
from tests.parity.clips import (
    assert_same_gradients_of_all,
    assert_same_numbers,
    assert_shorter_is_refused,
    make_case,
)
from tests.parity.codecs import assert_round_trip

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKLLTX2Video"]
MODULES = {
    "as published": AutoencoderKLLTX2Video(
        latents=4, widths=(4, 8, 16), blocks=(1, 0, 0, 1), patch=2,
        down=("temporal", "temporal", "spatiotemporal"), decoder_width=32,
        decoder_blocks=(2, 0, 0, 1), up=("spatiotemporal", "temporal", "temporal"),
    ),
    "as in 2.3": AutoencoderKLLTX2Video(
        channels=1, latents=4, widths=(8, 8), blocks=(1, 2, 0), down=("spatial", "temporal"),
        decoder_width=8, narrowing=(1, 2), decoder_blocks=(0, 1, 1), up=("temporal", "spatial"),
        shortcut=False, causal_decoder=True, reflect=False,
    ),
}  # fmt: skip
GRIDS = {"as published": (3, 3, 5), "as in 2.3": (3, 3, 1)}


@pytest.fixture(scope="module", params=MODULES)
def case(request, torch, diffusers, randomise, tmp_path_factory):
    module = MODULES[request.param]
    torch.manual_seed(0)
    reference = randomise(diffusers.AutoencoderKLLTX2Video(**ARCHITECTURE.describe(module)))
    with torch.no_grad():
        for half in (reference.encoder, reference.decoder):
            half.conv_out.conv.weight.mul_(4)  # so that what comes out varies
    for statistic in reference.buffers():
        statistic.copy_(torch.rand_like(statistic))
    return make_case(module, reference, tmp_path_factory.mktemp("ltx2"), GRIDS[request.param])


def test_numbers(torch, case, assert_near):
    assert_same_numbers(torch, case, assert_near)


def test_gradients(case, assert_same_gradients):
    assert_same_gradients_of_all(case, assert_same_gradients)


def test_weights_return_unchanged(case, tmp_path):
    assert set(case.variables["extras"]) >= {"latents_mean", "latents_std"}
    assert_round_trip(case.folder, tmp_path, type(case.reference))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_other_sizes_are_refused_with_the_multiple(case, axis):
    assert_shorter_is_refused(case, axis)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("decoder_inject_noise", [True, False]),
        ("decoder_block_out_channels", [8, 8, 8]),
        ("downsample_type", ["conv"] * 4),
        ("layers_per_block", [1]),
        ("timestep_conditioning", True),
    ],
)
def test_what_cannot_be_loaded_is_named(tmp_path, name, value):
    config = {**ARCHITECTURE.describe(AutoencoderKLLTX2Video()), name: value}
    config["_class_name"] = "AutoencoderKLLTX2Video"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="config.json: .*(not supported|entries)"):
        load_pretrained(tmp_path)


def test_published_size(torch, diffusers):
    """The reference has as many as tests/codecs counts of the module."""
    with torch.device("meta"):
        reference = diffusers.AutoencoderKLLTX2Video()
    assert sum(p.numel() for p in reference.parameters()) == 1_222_479_601
