"""LTX-2's spectrogram autoencoder against diffusers, and its chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax import tree
from mmjax.codecs.audio.ltx2 import AutoencoderKLLTX2Audio
from mmjax.errors import UserError
from mmjax.interop import load_pretrained
from mmjax.interop.ltx2_audio import ARCHITECTURES
from tests.codecs.video.streaming import assert_causal, assert_chunks_equal_whole
from tests.parity.clips import Case, assert_same_gradients_of_all, assert_same_numbers
from tests.parity.codecs import assert_round_trip, save

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKLLTX2Audio"]
MODULES = {
    "stereo": AutoencoderKLLTX2Audio(bins=12, width=8, blocks=1, latents=3),
    "mono": AutoencoderKLLTX2Audio(1, 20, width=6, multipliers=(1, 1, 2), latents=2),
}


@pytest.fixture(scope="module", params=MODULES)
def case(request, diffusers, randomise, tmp_path_factory):
    module = MODULES[request.param]
    reference = randomise(diffusers.AutoencoderKLLTX2Audio(**ARCHITECTURE.describe(module)))
    folder = save(reference, tmp_path_factory.mktemp("ltx2"))
    loaded, variables = load_pretrained(folder)
    assert loaded == module
    shape = (2, 13, module.bins, module.channels)
    mel = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    assert module.grid(shape[1:]) == (4, module.bins // 4)
    return Case(module, reference, folder, {"params": variables["params"]}, mel)


def test_numbers(torch, case, assert_near):
    assert_same_numbers(torch, case, assert_near)


def test_gradients(case, assert_same_gradients):
    assert_same_gradients_of_all(case, assert_same_gradients)


def test_weights_return_unchanged(case, tmp_path):
    assert_round_trip(case.folder, tmp_path, type(case.reference))


@pytest.mark.parametrize("frames", [1, 5, 9, 13])
def test_chunks_equal_whole(case, frames):
    assert_chunks_equal_whole(case.module, case.variables, jnp.asarray(case.clip[:, :frames]))


def test_latents_see_no_later_frame(case):
    assert_causal(case.module, case.variables, jnp.asarray(case.clip))


@pytest.mark.parametrize("axis", [1, 2])
def test_other_sizes_are_refused_with_the_multiple(case, axis):
    mel = jnp.asarray(case.clip).take(jnp.arange(case.clip.shape[axis] - 1), axis)
    with pytest.raises(UserError, match="4k . 1 frames and bins that are multiples of 4"):
        case.module.apply(case.variables, mel, method="encode")


def test_published_size():
    module = AutoencoderKLLTX2Audio()
    mel = jax.ShapeDtypeStruct((1, 5, 64, 2), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), mel)
    assert tree.count(shapes["params"]) == 53_248_146
