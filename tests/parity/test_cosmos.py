"""Cosmos' video tokenizer against diffusers."""

import pytest

from mmjax.codecs.video.cosmos import AutoencoderKLCosmos
from mmjax.interop.cosmos import ARCHITECTURES
from tests.parity.clips import (
    assert_same_gradients_of_all,
    assert_same_numbers,
    assert_shorter_is_refused,
    make_case,
)
from tests.parity.codecs import assert_round_trip

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKLCosmos"]
MODULES = {
    "8x8x8": AutoencoderKLCosmos(
        widths=(4, 8, 8), decoder_widths=(4, 4, 8, 8), blocks=1, latents=3, attention=(4,),
        resolution=32,
    ),
    "4x8x8": AutoencoderKLCosmos(
        channels=1, widths=(8, 8, 8, 8), decoder_widths=(4, 4, 8, 8), blocks=0, latents=4, time=4,
        attention=(), patch=2, wavelet=False,
    ),
}  # fmt: skip
GRIDS = {"8x8x8": (3, 3, 5), "4x8x8": (3, 3, 1)}


@pytest.fixture(scope="module", params=MODULES)
def case(request, torch, diffusers, randomise, tmp_path_factory):
    module = MODULES[request.param]
    torch.manual_seed(0)
    reference = randomise(diffusers.AutoencoderKLCosmos(**ARCHITECTURE.describe(module)))
    with torch.no_grad():
        for last in (reference.quant_conv, reference.decoder.conv_out.conv_t):
            last.weight.mul_(4)  # so that what comes out varies
    return make_case(module, reference, tmp_path_factory.mktemp("cosmos"), GRIDS[request.param])


def test_numbers(torch, case, assert_near):
    assert_same_numbers(torch, case, assert_near)


def test_gradients(case, assert_same_gradients):
    assert_same_gradients_of_all(case, assert_same_gradients)


def test_weights_return_unchanged(case, tmp_path):
    assert_round_trip(case.folder, tmp_path, type(case.reference))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_other_sizes_are_refused_with_the_multiple(case, axis):
    assert_shorter_is_refused(case, axis)


def test_published_size(torch, diffusers):
    """The reference has as many as tests/codecs counts of the module."""
    with torch.device("meta"):
        reference = diffusers.AutoencoderKLCosmos()
    assert sum(p.numel() for p in reference.parameters()) == 105_653_696
