"""Weights of :class:`mmjax.codecs.audio.hifi_gan.HifiGan` to and from transformers' SpeechT5."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.hifi_gan import HifiGan, upsampler
from mmjax.interop.architecture import Architecture
from mmjax.interop.common import Weight
from mmjax.interop.upsampler import Names, describe, fields, upsampler_weights

_LISTS = (
    "upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes",
)  # fmt: skip
_NAMES = Names("conv_pre", "upsampler.{}", "resblocks.{}", "conv_post")


def _build(config: Mapping[str, Any]) -> HifiGan:
    return HifiGan(
        bins=config["model_in_dim"],
        slope=config["leaky_relu_slope"],
        standardised=config["normalize_before"],
        **fields(config, _LISTS, config["upsample_initial_channel"]),
    )


def _describe(module: HifiGan) -> dict[str, Any]:
    return {
        "model_in_dim": module.bins,
        "leaky_relu_slope": module.slope,
        "normalize_before": module.standardised,
        "upsample_initial_channel": module.widths[0],
        **describe(module, _LISTS),
    }


def _weights(module: HifiGan) -> list[Weight]:
    table = upsampler_weights(upsampler(module), _NAMES)
    if module.standardised:
        table.append(Weight("mean", "mean", collection="constants"))
        table.append(Weight("scale", "deviation", collection="constants"))
    return table


def _inputs(module: HifiGan) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, 1, module.bins, 1), jnp.float32),)


ARCHITECTURES = {
    "SpeechT5HifiGan": Architecture(
        "SpeechT5HifiGan",
        "transformers",
        HifiGan,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
