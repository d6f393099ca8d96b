import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.latents import Latents
from mmjax.errors import UserError
from mmjax.modalities.image import Image
from mmjax.processes.gaussian import Gaussian
from mmjax.training.system import StreamConfig, make_spec


def test_a_stream_of_latents_takes_them_from_the_batch():
    image, codec = Image(32, 64), Latents((8, 8), 4)
    spec = make_spec(
        "image", StreamConfig("image", Gaussian(), "latents"), {"image": image}, {"latents": codec}
    )
    assert spec.shape(2) == (2, 4, 8, 4)
    np.testing.assert_array_equal(spec.grid_positions[0, :2], [[4, 4], [4, 12]])
    latents = jnp.ones((2, 4, 8, 4))
    raw = jnp.zeros((2, 32, 64, 3), jnp.uint8)
    stream = spec.encode({"image": raw, "image_latents": latents})
    np.testing.assert_array_equal(stream.values, latents)
    with pytest.raises(UserError, match="mmjax data cache"):
        spec.encode({"image": raw})


def test_strides_must_divide_the_raw_axes():
    with pytest.raises(UserError, match=r"strides \(8, 8\) do not divide the raw axes \(30, 32\)"):
        Latents((8, 8), 4).grid((30, 32, 3))
    with pytest.raises(UserError, match="strides="):
        Latents((8, 0), 4)
    with pytest.raises(UserError, match="the autoencoder that made them"):
        Latents((8, 8), 4).decode(jnp.ones((1, 4, 4, 4)))
