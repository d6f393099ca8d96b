"""Weights of :class:`mmjax.codecs.audio.oobleck.Oobleck` to and from diffusers."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.oobleck import Oobleck
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture
from mmjax.interop.audio import FORMER_FACTORS
from mmjax.interop.common import Weight
from mmjax.interop.dilated import half_weights


def _build(config: Mapping[str, Any]) -> Oobleck:
    first, latents = config["encoder_hidden_size"], config["decoder_input_channels"]
    multiples = (1, *config["channel_multiples"])
    if first != 2 * latents:
        raise UserError(
            f"config.json: encoder_hidden_size {first} is not twice {latents}, the latents"
        )
    return Oobleck(
        channels=config["audio_channels"],
        encoder_widths=tuple(first * multiple for multiple in multiples),
        decoder_widths=tuple(config["decoder_channels"] * multiple for multiple in multiples),
        ratios=tuple(config["downsampling_ratios"]),
        latents=latents,
    )


def _describe(module: Oobleck) -> dict[str, Any]:
    first = module.encoder_widths[0]
    return {
        "encoder_hidden_size": first,
        "decoder_channels": module.decoder_widths[0],
        "channel_multiples": [width // first for width in module.encoder_widths[1:]],
        "downsampling_ratios": list(module.ratios),
        "decoder_input_channels": module.latents,
        "audio_channels": module.channels,
    }


def _weights(module: Oobleck) -> list[Weight]:
    bound = module.bind({})
    table = half_weights(bound.encoder, "encoder", "encoder", FORMER_FACTORS)
    return table + half_weights(bound.decoder, "decoder", "decoder", FORMER_FACTORS)


def _inputs(module: Oobleck) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, math.prod(module.ratios), module.channels), jnp.float32),)


ARCHITECTURES = {
    "AutoencoderOobleck": Architecture(
        "AutoencoderOobleck",
        "diffusers",
        Oobleck,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
