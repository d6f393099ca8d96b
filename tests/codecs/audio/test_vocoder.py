"""A vocoder as a codec: what it hears, what it is not penalised for, and how long it speaks."""

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.audio.hifi_gan import HifiGan
from mmjax.codecs.audio.spectrogram import LogMel
from mmjax.codecs.audio.vocoder import Vocoder

MEL = LogMel(rate=800, window=32, hop=8, bins=5)
GENERATOR = HifiGan(
    bins=5, channels=2, widths=(4, 3), rates=(8,), kernels=(16,), block_kernels=(3,),
    dilations=((1,),), standardised=False,
)  # fmt: skip
MODULE = Vocoder(MEL, GENERATOR)
SOUND = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 80, 2)), jnp.float32)


def test_sound_comes_back_from_the_spectrogram_alone():
    variables = jax.jit(MODULE.init)(jax.random.key(0), SOUND)
    found = MODULE.apply(variables, SOUND, method="encode")
    mel = MEL.encode(SOUND)
    np.testing.assert_array_equal(*found.read(jax.random.key(1)), mel)
    assert not found.penalties(160) and MODULE.grid((80, 2)) == mel.shape[1:3] == (10, 5)
    made = MODULE.apply(variables, SOUND)
    own = GENERATOR.apply({"params": variables["params"]["generator"]}, mel)
    np.testing.assert_allclose(made, own, atol=1e-6)
    assert made.shape == SOUND.shape
