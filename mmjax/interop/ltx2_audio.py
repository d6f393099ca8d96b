"""Weights of :class:`mmjax.codecs.audio.ltx2.AutoencoderKLLTX2Audio` to and from diffusers."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.ltx2 import AutoencoderKLLTX2Audio
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine

_FIELDS = {
    "in_channels": "channels", "mel_bins": "bins", "base_channels": "width",
    "num_res_blocks": "blocks", "latent_channels": "latents",
}  # fmt: skip
_FIXED = {
    "norm_type": "pixel", "causality_axis": "height", "double_z": True, "attn_resolutions": None,
    "mid_block_add_attention": False,
}  # fmt: skip


def _build(config: Mapping[str, Any]) -> AutoencoderKLLTX2Audio:
    for name, value in _FIXED.items():
        only(config, name, (value,), value)
    only(config, "output_channels", (config["in_channels"],), None)
    multipliers = tuple(config["ch_mult"])
    if len(multipliers) != 3:
        raise UserError(f"config.json: ch_mult {list(multipliers)} is not supported, only three")
    fields = {ours: config[theirs] for theirs, ours in _FIELDS.items()}
    return AutoencoderKLLTX2Audio(multipliers=multipliers, **fields)


def _describe(module: AutoencoderKLLTX2Audio) -> dict[str, Any]:
    return {
        **_FIXED,
        "output_channels": module.channels,
        "ch_mult": list(module.multipliers),
        **{theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()},
    }


def _weights(module: AutoencoderKLLTX2Audio) -> list[Weight]:
    weights, levels = [], range(len(module.multipliers))
    for half, order in (("encoder", levels), ("decoder", reversed(levels))):
        ends, blocks = ("down", module.blocks) if half == "encoder" else ("up", module.blocks + 1)
        for name in ("conv_in", "conv_out"):
            weights += affine(f"{half}.{name}.conv", f"{half}/{name}/conv")
        for block in range(2):
            place = f"{half}/middle_block_{block}"
            weights += _block(f"{half}.mid.block_{block + 1}", place, False)
        before = 1 if half == "encoder" else module.multipliers[-1]
        for level in order:
            public, path = f"{half}.{ends}.{level}", f"{half}/level_{level}"
            for block in range(blocks):
                widens = before != module.multipliers[level]
                weights += _block(f"{public}.block.{block}", f"{path}_block_{block}", widens)
                before = module.multipliers[level]
            if half == "encoder" and level < levels[-1]:
                weights += affine(f"{public}.downsample.conv", f"{path}_down/conv")
            if half == "decoder" and level:
                weights += affine(f"{public}.upsample.conv.conv", f"{path}_up/conv/conv")
    return weights


def _block(public: str, path: str, widens: bool) -> list[Weight]:
    shortcut = affine(f"{public}.nin_shortcut.conv", f"{path}/shortcut", points=2)
    weights = shortcut if widens else []
    for part in (1, 2):
        weights += affine(f"{public}.conv{part}.conv", f"{path}/conv_{part}/conv")
    return weights


def _inputs(module: AutoencoderKLLTX2Audio) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, 5, module.bins, module.channels), jnp.float32),)


ARCHITECTURES = {
    "AutoencoderKLLTX2Audio": Architecture(
        "AutoencoderKLLTX2Audio",
        "diffusers",
        AutoencoderKLLTX2Audio,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
