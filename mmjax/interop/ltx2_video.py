"""Weights of :class:`mmjax.codecs.video.ltx2.AutoencoderKLLTX2Video` to and from diffusers."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.video.ltx2 import FACTORS, AutoencoderKLLTX2Video
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine

_FIXED = {
    "timestep_conditioning": False, "patch_size_t": 1, "encoder_causal": True,
    "encoder_spatial_padding_mode": "zeros",
}  # fmt: skip
# One value for each change of resolution, or one for all of them.
_UNIFORM = {
    "spatio_temporal_scaling": True, "decoder_spatio_temporal_scaling": True,
    "decoder_inject_noise": False,
}  # fmt: skip
_SPATIOTEMPORAL = ("spatiotemporal",)
_DOWN = "LTX2VideoDownBlock3D"
_PADDING = {"reflect": True, "zeros": False}


def _build(config: Mapping[str, Any]) -> AutoencoderKLLTX2Video:
    for name, value in _FIXED.items():
        only(config, name, (value,), value)
    for name, value in _UNIFORM.items():
        _uniform(config, name, (value,), value)
    _uniform(config, "down_block_types", (_DOWN,), _DOWN)
    channels = config.get("in_channels", 3)
    only(config, "out_channels", (channels,), 3)
    padding = only(config, "decoder_spatial_padding_mode", _PADDING, "reflect")
    widths = tuple(config.get("decoder_block_out_channels", (256, 512, 1024)))[::-1]
    down = config.get("downsample_type", ("spatial", "temporal", *_SPATIOTEMPORAL * 2))
    module = AutoencoderKLLTX2Video(
        channels=channels,
        latents=config.get("latent_channels", 128),
        widths=tuple(config.get("block_out_channels", (256, 512, 1024, 2048))),
        blocks=tuple(config.get("layers_per_block", (4, 6, 6, 2, 2))),
        down=tuple(down),
        decoder_width=widths[0],
        narrowing=tuple(config.get("upsample_factor", (2, 2, 2)))[::-1],
        decoder_blocks=tuple(config.get("decoder_layers_per_block", (5, 5, 5, 5)))[::-1],
        up=tuple(config.get("upsample_type", _SPATIOTEMPORAL * 3)),
        patch=config.get("patch_size", 4),
        shortcut=_uniform(config, "upsample_residual", (True, False), True),
        causal_decoder=config.get("decoder_causal", True),
        reflect=_PADDING[padding],
    )
    _check(module, widths)
    return module


def _check(module: AutoencoderKLLTX2Video, widths: tuple[int, ...]) -> None:
    """UserError unless the fields of a ``config.json`` fit each other."""
    changes, ups = len(module.widths), len(widths)
    lengths = {
        "downsample_type": (len(module.down), changes),
        "layers_per_block": (len(module.blocks), changes + 1),
        "upsample_type": (len(module.up), ups),
        "upsample_factor": (len(module.narrowing), ups),
        "decoder_layers_per_block": (len(module.decoder_blocks), ups + 1),
    }
    for name, (found, wanted) in lengths.items():
        if found != wanted:
            raise UserError(f"config.json: {name} has {found} entries, the widths take {wanted}")
    for kind in (*module.down, *module.up):
        if kind not in FACTORS:
            raise UserError(f"config.json: {kind!r} is not supported, only {', '.join(FACTORS)}")
    if widths != _decoder_widths(module):
        raise UserError(
            f"config.json: decoder_block_out_channels {list(widths[::-1])} is not supported here, "
            f"only widths that upsample_factor divides: {list(_decoder_widths(module)[::-1])}"
        )


def _decoder_widths(module: AutoencoderKLLTX2Video) -> tuple[int, ...]:
    """Channels before each change of the decoder's resolution, the lowest first."""
    widths = [module.decoder_width]
    for factor in module.narrowing[:-1]:
        widths.append(widths[-1] // factor)
    return tuple(widths)


def _uniform(config: Mapping[str, Any], name: str, values: tuple, default: Any) -> Any:
    """The one value that all entries of a field have, which must be one of ``values``."""
    found = config.get(name, default)
    entries = list(found) if isinstance(found, list | tuple) else [found]
    if not any(entries == [value] * len(entries) for value in values):
        wanted = " or ".join(repr(value) for value in values)
        raise UserError(f"config.json: {name} {found!r} is not supported here, only {wanted}")
    return entries[0]


def _describe(module: AutoencoderKLLTX2Video) -> dict[str, Any]:
    ups = len(module.up)
    return {
        **_FIXED,
        "in_channels": module.channels,
        "out_channels": module.channels,
        "latent_channels": module.latents,
        "block_out_channels": list(module.widths),
        "down_block_types": [_DOWN] * len(module.widths),
        "layers_per_block": list(module.blocks),
        "downsample_type": list(module.down),
        "spatio_temporal_scaling": [True] * len(module.widths),
        "decoder_block_out_channels": list(_decoder_widths(module)[::-1]),
        "decoder_layers_per_block": list(module.decoder_blocks[::-1]),
        "decoder_spatio_temporal_scaling": [True] * ups,
        "decoder_inject_noise": [False] * (ups + 1),
        "upsample_type": list(module.up),
        "upsample_residual": [module.shortcut] * ups,
        "upsample_factor": list(module.narrowing[::-1]),
        "patch_size": module.patch,
        "decoder_causal": module.causal_decoder,
        "decoder_spatial_padding_mode": "reflect" if module.reflect else "zeros",
        "temporal_compression_ratio": module.strides[0],
        "spatial_compression_ratio": module.strides[1],
    }


def _weights(module: AutoencoderKLLTX2Video) -> list[Weight]:
    weights = []
    for half in ("encoder", "decoder"):
        for name in ("conv_in", "conv_out"):
            weights += affine(f"{half}.{name}.conv", f"{half}/{name}/conv")
    for level, blocks in enumerate(module.blocks):
        last = level == len(module.down)
        public = "encoder.mid_block" if last else f"encoder.down_blocks.{level}"
        weights += _blocks(public, f"encoder/level_{level}", blocks)
        if not last:
            path = f"encoder/level_{level}_down/conv/conv"
            weights += affine(f"{public}.downsamplers.0.conv.conv", path)
    for level, blocks in enumerate(module.decoder_blocks):
        public = f"decoder.up_blocks.{level - 1}" if level else "decoder.mid_block"
        weights += _blocks(public, f"decoder/level_{level}", blocks)
        if level:
            path = f"decoder/level_{level - 1}_up/conv/conv"
            weights += affine(f"{public}.upsamplers.0.conv.conv", path)
    return weights


def _blocks(public: str, path: str, count: int) -> list[Weight]:
    weights = []
    for block in range(count):
        for part in (1, 2):
            theirs = f"{public}.resnets.{block}.conv{part}.conv"
            weights += affine(theirs, f"{path}_block_{block}/conv_{part}/conv")
    return weights


def _inputs(module: AutoencoderKLLTX2Video) -> tuple[jax.ShapeDtypeStruct]:
    time, *sides = module.strides
    sides = [2 * side for side in sides] if module.reflect else sides
    return (jax.ShapeDtypeStruct((1, 1 + time, *sides, module.channels), jnp.float32),)


ARCHITECTURES = {
    "AutoencoderKLLTX2Video": Architecture(
        "AutoencoderKLLTX2Video",
        "diffusers",
        AutoencoderKLLTX2Video,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
