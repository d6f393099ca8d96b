"""Weights of diffusers' ``AutoencoderKLTemporalDecoder``."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.pyramid import Encoder
from mmjax.codecs.video.temporal_decoder import AutoencoderKLTemporalDecoder
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine, scale_shift
from mmjax.interop.pyramid import DIFFUSERS, half_weights

_DOWN = "DownEncoderBlock2D"


def _build(config: Mapping[str, Any]) -> AutoencoderKLTemporalDecoder:
    channels = config.get("in_channels", 3)
    only(config, "out_channels", (channels,), 3)
    widths = tuple(config.get("block_out_channels", (64,)))
    types = config.get("down_block_types", (_DOWN,))
    if list(types) != [_DOWN] * len(widths):
        raise UserError(f"config.json: down_block_types must be {len(widths)} of {_DOWN}")
    blocks = config.get("layers_per_block", 1)
    if blocks < 2:
        # With one, the public class runs one block of the middle and none of its attention.
        raise UserError("config.json: layers_per_block 1 is not supported here, only 2 and more")
    return AutoencoderKLTemporalDecoder(
        channels=channels, widths=widths, blocks=blocks, latents=config.get("latent_channels", 4)
    )


def _describe(module: AutoencoderKLTemporalDecoder) -> dict[str, Any]:
    return {
        "in_channels": module.channels,
        "out_channels": module.channels,
        "block_out_channels": list(module.widths),
        "down_block_types": [_DOWN] * len(module.widths),
        "layers_per_block": module.blocks,
        "latent_channels": module.latents,
    }


def _weights(module: AutoencoderKLTemporalDecoder) -> list[Weight]:
    half = Encoder(module.widths, module.blocks, 2 * module.latents, module.groups)
    weights = half_weights(half, DIFFUSERS) + affine("quant_conv", "moments", points=2)
    weights += affine("decoder.conv_in", "decoder/conv_in")
    public, path = "decoder.mid_block.attentions.0", "decoder/middle_attention"
    weights += scale_shift(f"{public}.group_norm", f"{path}/norm")
    for theirs, ours in zip(DIFFUSERS.projections, ("query", "key", "value", "out"), strict=True):
        weights += affine(f"{public}.{theirs}", f"{path}/{ours}")
    for block in range(2):
        part = f"decoder.mid_block.resnets.{block}"
        weights += _block(part, f"decoder/middle_block_{block}", False)
    before = module.widths[-1]
    for level, width in enumerate(reversed(module.widths)):
        public, path = f"decoder.up_blocks.{level}", f"decoder/level_{level}"
        for block in range(module.blocks + 1):
            part = f"{public}.resnets.{block}"
            weights += _block(part, f"{path}_block_{block}", before != width)
            before = width
        if level < len(module.widths) - 1:
            weights += affine(f"{public}.upsamplers.0.conv", f"{path}_up/conv")
    weights += scale_shift("decoder.conv_norm_out", "decoder/norm_out")
    weights += affine("decoder.conv_out", "decoder/conv_out")
    return weights + affine("decoder.time_conv_out", "decoder/time_out")


def _block(public: str, path: str, widens: bool) -> list[Weight]:
    space, time = f"{public}.spatial_res_block", f"{public}.temporal_res_block"
    weights = affine(f"{space}.conv_shortcut", f"{path}/space/shortcut") if widens else []
    for part in (1, 2):
        weights += scale_shift(f"{space}.norm{part}", f"{path}/space/norm_{part}")
        weights += affine(f"{space}.conv{part}", f"{path}/space/conv_{part}")
        weights += scale_shift(f"{time}.norm{part}", f"{path}/time_norm_{part}")
        weights += affine(f"{time}.conv{part}", f"{path}/time_conv_{part}")
    return [*weights, Weight(f"{public}.time_mixer.mix_factor", f"{path}/mix")]


def _inputs(module: AutoencoderKLTemporalDecoder) -> tuple[jax.ShapeDtypeStruct]:
    shape = (1, 1, *module.strides[1:], module.channels)
    return (jax.ShapeDtypeStruct(shape, jnp.float32),)


ARCHITECTURES = {
    "AutoencoderKLTemporalDecoder": Architecture(
        "AutoencoderKLTemporalDecoder",
        "diffusers",
        AutoencoderKLTemporalDecoder,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
