"""AutoencoderKLWan (2.1 and 2.2) against diffusers."""

import pytest

from mmjax.codecs.video.wan import AutoencoderKLWan
from mmjax.interop import load_pretrained, save_pretrained
from mmjax.interop.wan_vae import ARCHITECTURES
from tests.parity.clips import (
    assert_same_gradients_of_all,
    assert_same_numbers,
    assert_shorter_is_refused,
    make_case,
)
from tests.parity.codecs import assert_round_trip

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKLWan"]
MODULES = {
    "2.1": AutoencoderKLWan(
        width=8, decoder_width=8, multipliers=(1, 2, 2), blocks=1, latents=4, temporal=(True, True)
    ),
    "2.2": AutoencoderKLWan(
        channels=1, width=4, decoder_width=8, multipliers=(1, 2, 4, 4), blocks=1, latents=3,
        temporal=(False, True, True), patch=2, residual=True,
    ),
}  # fmt: skip
GRIDS = {"2.1": (3, 3, 5), "2.2": (3, 3, 1)}


@pytest.fixture(scope="module", params=MODULES)
def case(request, diffusers, randomise, tmp_path_factory):
    module = MODULES[request.param]
    statistics = {"latents_mean": [0.0] * module.latents, "latents_std": [1.0] * module.latents}
    reference = randomise(diffusers.AutoencoderKLWan(**ARCHITECTURE.describe(module), **statistics))
    return make_case(module, reference, tmp_path_factory.mktemp("wan"), GRIDS[request.param])


def test_numbers(torch, case, assert_near):
    assert_same_numbers(torch, case, assert_near)


def test_gradients(case, assert_same_gradients):
    assert_same_gradients_of_all(case, assert_same_gradients)


def test_weights_return_unchanged(case, tmp_path):
    assert_round_trip(case.folder, tmp_path)


def test_the_reference_reads_what_is_written(torch, diffusers, case, tmp_path):
    _, variables = load_pretrained(case.folder)
    save_pretrained(case.module, {"params": variables["params"]}, tmp_path)
    again = diffusers.AutoencoderKLWan.from_pretrained(tmp_path)
    one, other = case.reference.state_dict(), again.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_other_sizes_are_refused_with_the_multiple(case, axis):
    assert_shorter_is_refused(case, axis)
