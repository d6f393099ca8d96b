"""Weights of :class:`mmjax.codecs.audio.bigvgan.BigVgan` to and from diffusers' MMAudioVocoder."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.bigvgan import BigVgan, upsampler
from mmjax.interop.architecture import Architecture
from mmjax.interop.common import Weight
from mmjax.interop.upsampler import Names, describe, fields, upsampler_weights

_LISTS = (
    "upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes",
)  # fmt: skip
_NAMES = Names(
    "conv_pre",
    "ups.{}.0",
    "resblocks.{}",
    "conv_post",
    snake="activation_post",
    snakes=("activations.{twice}", "activations.{odd}"),
    down="lowpass.filter",
)


def _build(config: Mapping[str, Any]) -> BigVgan:
    sizes = fields(config, _LISTS, config["upsample_initial_channel"])
    return BigVgan(bins=config["num_mels"], **sizes)


def _describe(module: BigVgan) -> dict[str, Any]:
    return {
        "num_mels": module.bins,
        "upsample_initial_channel": module.widths[0],
        **describe(module, _LISTS),
    }


def _weights(module: BigVgan) -> list[Weight]:
    return upsampler_weights(upsampler(module), _NAMES)


def _inputs(module: BigVgan) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, 1, module.bins, 1), jnp.float32),)


ARCHITECTURES = {
    "MMAudioVocoder": Architecture(
        "MMAudioVocoder",
        "diffusers",
        BigVgan,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
