"""Every kind of spectrogram autoencoder makes a step from its config, by shapes alone."""

import jax
import jax.numpy as jnp
import pytest

from mmjax import config as configs
from mmjax.training.restore import abstract_state, declared_batch
from mmjax.training.step import make_step
from mmjax.training.system import build
from tests.tiny import FOLDER

SMALL = {
    "audioldm": (64, {"widths": (32, 32, 32), "blocks": 1}),
    "ltx2": (65, {"width": 4, "blocks": 1, "latents": 2}),
    "mmaudio": (64, {"widths": (4, 4), "blocks": 1, "latents": 2}),
}


@pytest.mark.parametrize("variant", SMALL)
def test_every_kind_trains_from_its_config(variant):
    frames, fields = SMALL[variant]
    path = f"{FOLDER}/audio/mel_vae.py"
    config = configs.plain(configs.load(f"{path}:{variant}"))
    config["networks"]["autoencoder"] |= fields
    config["modalities"]["audio"]["samples"] = frames * config["codecs"]["mel"]["hop"]
    config["data"] = configs.plain(configs.load(f"{path}:tiny"))["data"]
    system = build(config)
    state = abstract_state(system)
    new, logged = jax.eval_shape(make_step(system), state, declared_batch(system))
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)
    assert {"loss/l1", "loss/divergence", "loss/adversarial", "loss/real"} <= logged.keys()
