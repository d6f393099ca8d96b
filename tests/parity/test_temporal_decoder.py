"""AutoencoderKLTemporalDecoder (Stable Video Diffusion's) against diffusers."""

import jax.numpy as jnp
import pytest

from mmjax.codecs.video.temporal_decoder import AutoencoderKLTemporalDecoder
from mmjax.errors import UserError
from mmjax.interop.temporal_decoder import ARCHITECTURES
from tests.parity.clips import assert_same_gradients_of_all, assert_same_numbers, make_case
from tests.parity.codecs import assert_round_trip

pytestmark = pytest.mark.parity

ARCHITECTURE = ARCHITECTURES["AutoencoderKLTemporalDecoder"]
MODULES = {
    "two levels": AutoencoderKLTemporalDecoder(widths=(32, 64), blocks=2, latents=4),
    "three blocks": AutoencoderKLTemporalDecoder(channels=1, widths=(32,), blocks=3, latents=2),
}
GRIDS = {"two levels": (3, 3, 5), "three blocks": (2, 3, 7)}


class ByClip:
    """Posterior of frames in a row as one of clips."""

    def __init__(self, posterior, batch):
        self.posterior, self.batch = posterior, batch

    def mode(self):
        return apart(self.posterior.mode(), self.batch)

    @property
    def logvar(self):
        return apart(self.posterior.logvar, self.batch)


def flat(clips):
    """``[B, C, T, H, W]`` as ``[B T, C, H, W]``."""
    return clips.transpose(1, 2).flatten(0, 1)


def apart(frames, batch):
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def encode(reference, clip):
    return ByClip(reference.encode(flat(clip)).latent_dist, clip.shape[0])


def decode(reference, latents):
    frames = reference.decode(flat(latents), num_frames=latents.shape[2]).sample
    return apart(frames, latents.shape[0])


@pytest.fixture(scope="module", params=MODULES)
def case(request, diffusers, randomise, tmp_path_factory):
    module = MODULES[request.param]
    reference = randomise(diffusers.AutoencoderKLTemporalDecoder(**ARCHITECTURE.describe(module)))
    folder = tmp_path_factory.mktemp("temporal")
    return make_case(module, reference, folder, GRIDS[request.param])


def test_numbers(torch, case, assert_near):
    assert_same_numbers(torch, case, assert_near, encode, decode)


def test_gradients(case, assert_same_gradients):
    assert_same_gradients_of_all(case, assert_same_gradients, encode, decode)


def test_weights_return_unchanged(case, tmp_path):
    assert_round_trip(case.folder, tmp_path, type(case.reference))


def test_other_sides_are_refused_with_the_multiple():
    clip = jnp.zeros((1, 2, 8, 9, 3))
    with pytest.raises(UserError, match="multiples of 2"):
        MODULES["two levels"].init(jnp.zeros(2, jnp.uint32), clip)
