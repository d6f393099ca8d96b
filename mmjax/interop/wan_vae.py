"""Weights of :class:`mmjax.codecs.video.wan.AutoencoderKLWan` to and from diffusers."""

from collections.abc import Mapping
from typing import Any

from mmjax.codecs.video.wan import AutoencoderKLWan
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine, smallest_clip


def _build(config: Mapping[str, Any]) -> AutoencoderKLWan:
    only(config, "attn_scales", ([], ()), [])
    only(config, "dropout", (0, 0.0), 0.0)
    patch = config.get("patch_size") or 1
    features = config.get("in_channels", 3)
    only(config, "out_channels", (features,), 3)
    if features % patch**2:
        raise UserError(
            f"config.json: in_channels {features} is no multiple of patch_size {patch} squared"
        )
    width = config.get("base_dim", 96)
    return AutoencoderKLWan(
        channels=features // patch**2,
        width=width,
        decoder_width=config.get("decoder_base_dim") or width,
        multipliers=tuple(config.get("dim_mult", (1, 2, 4, 4))),
        blocks=config.get("num_res_blocks", 2),
        latents=config.get("z_dim", 16),
        temporal=tuple(config.get("temperal_downsample", (False, True, True))),
        patch=patch,
        residual=config.get("is_residual", False),
    )


def _describe(module: AutoencoderKLWan) -> dict[str, Any]:
    features = module.channels * module.patch**2
    return {
        "base_dim": module.width,
        "decoder_base_dim": module.decoder_width,
        "dim_mult": list(module.multipliers),
        "num_res_blocks": module.blocks,
        "z_dim": module.latents,
        "temperal_downsample": list(module.temporal),
        "in_channels": features,
        "out_channels": features,
        "patch_size": module.patch if module.patch > 1 else None,
        "is_residual": module.residual,
        "scale_factor_temporal": module.strides[0],
        "scale_factor_spatial": module.strides[1],
    }


def _weights(module: AutoencoderKLWan) -> list[Weight]:
    weights = _encoder(module) + _decoder(module)
    for half in ("encoder", "decoder"):
        for name in ("conv_in", "conv_out"):
            weights += affine(f"{half}.{name}", f"{half}/{name}/conv")
        weights += _norm(f"{half}.norm_out", f"{half}/norm_out", 3)
        public, path = f"{half}.mid_block", f"{half}/middle"
        for block in range(2):
            weights += _residual(f"{public}.resnets.{block}", f"{path}_block_{block}", False)
        public, path = f"{public}.attentions.0", f"{path}_attention"
        weights += _norm(f"{public}.norm", f"{path}/norm", 2)
        weights += affine(f"{public}.to_qkv", f"{path}/qkv", points=2)
        weights += affine(f"{public}.proj", f"{path}/out", points=2)
    weights += affine("quant_conv", "moments", points=3)
    return weights + affine("post_quant_conv", "unproject", points=3)


def _encoder(module: AutoencoderKLWan) -> list[Weight]:
    weights, before, count, last = [], 1, 0, len(module.multipliers) - 1
    for level, multiplier in enumerate(module.multipliers):
        path, public = f"encoder/level_{level}", f"encoder.down_blocks.{level}"
        for block in range(module.blocks):
            part = f"{public}.resnets.{block}" if module.residual else _counted(count)
            weights += _residual(part, f"{path}_block_{block}", before != multiplier)
            before, count = multiplier, count + 1
        if level < last:
            part = f"{public}.downsampler" if module.residual else _counted(count)
            weights += affine(f"{part}.resample.1", f"{path}_down/space/conv")
            if module.temporal[level]:
                weights += affine(f"{part}.time_conv", f"{path}_down/time/conv")
            count += 1
    return weights


def _decoder(module: AutoencoderKLWan) -> list[Weight]:
    weights, width = [], module.decoder_width
    before, last = width * module.multipliers[-1], len(module.multipliers) - 1
    for level, multiplier in enumerate(reversed(module.multipliers)):
        path, public = f"decoder/level_{level}", f"decoder.up_blocks.{level}"
        for block in range(module.blocks + 1):
            part = f"{public}.resnets.{block}"
            weights += _residual(part, f"{path}_block_{block}", before != width * multiplier)
            before = width * multiplier
        if level < last:
            part = f"{public}.upsampler" if module.residual else f"{public}.upsamplers.0"
            weights += affine(f"{part}.resample.1", f"{path}_up/space")
            if module.temporal[-1 - level]:
                weights += affine(f"{part}.time_conv", f"{path}_up/time/conv/conv")
            before = before if module.residual else before // 2
    return weights


def _counted(count: int) -> str:
    """Wan 2.1's encoder holds blocks and changes of resolution in one list."""
    return f"encoder.down_blocks.{count}"


def _residual(public: str, path: str, widens: bool) -> list[Weight]:
    shortcut = affine(f"{public}.conv_shortcut", f"{path}/shortcut", points=3)
    weights = shortcut if widens else []
    for part in (1, 2):
        weights += _norm(f"{public}.norm{part}", f"{path}/norm_{part}", 3)
        weights += affine(f"{public}.conv{part}", f"{path}/conv_{part}/conv")
    return weights


def _norm(public: str, path: str, points: int) -> list[Weight]:
    return [Weight(f"{public}.gamma", f"{path}/scale", points=points)]


ARCHITECTURES = {
    "AutoencoderKLWan": Architecture(
        "AutoencoderKLWan",
        "diffusers",
        AutoencoderKLWan,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=smallest_clip,
    )
}
