import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.latents import Codes, Latents
from mmjax.errors import UserError
from mmjax.modalities.image import Image
from mmjax.processes.gaussian import Gaussian
from mmjax.processes.next_token import NextToken
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


def test_codes_lie_in_reading_order_and_only_a_network_makes_them():
    image, codec = Image(8, 16), Codes((4, 8), 32)
    spec = make_spec(
        "image", StreamConfig("image", NextToken(), "codes"), {"image": image}, {"codes": codec}
    )
    assert spec.shape(2) == (2, 4) and spec.vocabulary == 32
    np.testing.assert_array_equal(spec.grid_positions, [[2, 4], [2, 12], [6, 4], [6, 12]])
    with pytest.raises(UserError, match="made by a network"):
        spec.encode({"image": jnp.zeros((2, 8, 16, 3), jnp.uint8)})
    with pytest.raises(UserError, match="decoded by a network"):
        codec.decode(jnp.zeros((2, 4), jnp.int32))
    with pytest.raises(UserError, match=r"Codes: strides \(4, 8\) do not divide"):
        codec.grid((8, 12, 3))
    with pytest.raises(UserError, match="vocabulary=0"):
        Codes((4, 4), 0)
