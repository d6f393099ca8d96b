"""Weights of :class:`mmjax.codecs.audio.hifi_gan.HifiGan`: SpeechT5's and LTX-2's vocoders."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.hifi_gan import HifiGan, upsampler
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight
from mmjax.interop.upsampler import Names, describe, fields, upsampler_weights

_LISTS = (
    "upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes",
)  # fmt: skip
_LISTS_LTX = (
    "upsample_factors", "upsample_kernel_sizes", "resnet_kernel_sizes", "resnet_dilations",
)  # fmt: skip
_NAMES = Names("conv_pre", "upsampler.{}", "resblocks.{}", "conv_post")
_NAMES_LTX = Names("conv_in", "upsamplers.{}", "resnets.{}", "conv_out")
_FIXED_LTX = {
    "act_fn": "leaky_relu", "antialias": False, "final_act_fn": "tanh", "final_bias": True,
}  # fmt: skip


def _build(config: Mapping[str, Any]) -> HifiGan:
    return HifiGan(
        bins=config["model_in_dim"],
        slope=config["leaky_relu_slope"],
        standardised=config["normalize_before"],
        **fields(config, _LISTS, config["upsample_initial_channel"]),
    )


def _describe(module: HifiGan) -> dict[str, Any]:
    if module.channels != 1:
        raise UserError(f"SpeechT5HifiGan makes one channel, not {module.channels}")
    return {
        "model_in_dim": module.bins,
        "leaky_relu_slope": module.slope,
        "normalize_before": module.standardised,
        "upsample_initial_channel": module.widths[0],
        **describe(module, _LISTS),
    }


def _build_ltx(config: Mapping[str, Any]) -> HifiGan:
    for name, value in _FIXED_LTX.items():
        only(config, name, (value,), value)
    features, channels = config["in_channels"], config["out_channels"]
    if features % channels:
        raise UserError(f"config.json: in_channels {features} is no multiple of {channels}")
    return HifiGan(
        bins=features // channels,
        channels=channels,
        slope=config["leaky_relu_negative_slope"],
        standardised=False,
        **fields(config, _LISTS_LTX, config["hidden_channels"]),
    )


def _describe_ltx(module: HifiGan) -> dict[str, Any]:
    if module.standardised:
        raise UserError("LTX2Vocoder takes spectrograms as they are, none that are standardised")
    return {
        **_FIXED_LTX,
        "in_channels": module.bins * module.channels,
        "out_channels": module.channels,
        "leaky_relu_negative_slope": module.slope,
        "hidden_channels": module.widths[0],
        **describe(module, _LISTS_LTX),
    }


def _weights_ltx(module: HifiGan) -> list[Weight]:
    return upsampler_weights(upsampler(module), _NAMES_LTX)


def _weights(module: HifiGan) -> list[Weight]:
    table = upsampler_weights(upsampler(module), _NAMES)
    if module.standardised:
        table.append(Weight("mean", "mean", collection="constants"))
        table.append(Weight("scale", "deviation", collection="constants"))
    return table


def _inputs(module: HifiGan) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, 1, module.bins, module.channels), jnp.float32),)


ARCHITECTURES = {
    "LTX2Vocoder": Architecture(
        "LTX2Vocoder",
        "diffusers",
        HifiGan,
        build=_build_ltx,
        describe=_describe_ltx,
        weights=_weights_ltx,
        inputs=_inputs,
    ),
    "SpeechT5HifiGan": Architecture(
        "SpeechT5HifiGan",
        "transformers",
        HifiGan,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    ),
}
