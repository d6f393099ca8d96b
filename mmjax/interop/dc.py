"""Weights of :class:`mmjax.codecs.dc.AutoencoderDC` to and from diffusers' ``AutoencoderDC``."""

from collections.abc import Mapping
from typing import Any

from mmjax.codecs.dc import AutoencoderDC
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine, scale_shift, smallest_picture

_MOMENTS = "batch_stats"
_BLOCKS = {"ResBlock": False, "EfficientViTBlock": True}
_RESIZES = {("pixel_unshuffle", "pixel_shuffle"): True, ("conv", "interpolate"): False}
_NORMS = {("rms_norm", "silu"): False, ("batch_norm", "relu"): True}


def _build(config: Mapping[str, Any]) -> AutoencoderDC:
    widths = tuple(config.get("encoder_block_out_channels", (128, 256, 512, 512, 1024, 1024)))
    only(config, "decoder_block_out_channels", (list(widths), widths), widths)
    only(config, "decoder_conv_act_fn", ("relu",), "relu")
    for shortcut in ("encoder_out_shortcut", "decoder_in_shortcut"):
        only(config, shortcut, (True,), True)
    kinds = _levels(config, "encoder_block_types", "ResBlock", len(widths))
    only(config, "decoder_block_types", (kinds, tuple(kinds), kinds[0]), kinds[0])
    _choice("block types", set(kinds), set(_BLOCKS))
    resize = tuple(
        config.get(f"{side}sample_block_type", default)
        for side, default in zip(("down", "up"), next(iter(_RESIZES)), strict=True)
    )
    _choice("sampling block types", {resize}, set(_RESIZES))
    norms = list(
        zip(
            _levels(config, "decoder_norm_types", "rms_norm", len(widths)),
            _levels(config, "decoder_act_fns", "silu", len(widths)),
            strict=True,
        )
    )
    _choice("decoder norms and activations", set(norms), set(_NORMS))
    attention = tuple(n for n, kind in enumerate(kinds) if _BLOCKS[kind])
    return AutoencoderDC(
        channels=config.get("in_channels", 3),
        latents=config.get("latent_channels", 32),
        widths=widths,
        encoder_blocks=tuple(config.get("encoder_layers_per_block", (2, 2, 2, 3, 3, 3))),
        decoder_blocks=tuple(config.get("decoder_layers_per_block", (3, 3, 3, 3, 3, 3))),
        attention=attention,
        head=config.get("attention_head_dim", 32),
        scales=_scales(config, attention, len(widths)),
        shuffled=_RESIZES[resize],
        batch_normed=tuple(n for n, norm in enumerate(norms) if _NORMS[norm]),
    )


def _levels(config: Mapping[str, Any], name: str, default: str, count: int) -> list[str]:
    """A field that is one value for all levels, or a list of one for each."""
    found = config.get(name, default)
    return [found] * count if isinstance(found, str) else list(found)


def _choice(what: str, found: set, known: set) -> None:
    if not found <= known:
        raise UserError(f"config.json: {what} {sorted(found)} are not among {sorted(known)}")


def _scales(config: Mapping[str, Any], attention: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The scales that all attending levels have; those of other levels are never read."""
    default = [[], [], [], [5], [5], [5]]
    halves = [config.get(f"{half}_qkv_multiscales", default) for half in ("encoder", "decoder")]
    found = {tuple(half[level]) for half in halves for level in attention}
    if len(found) > 1:
        raise UserError(f"config.json: qkv_multiscales differ: {sorted(found)}")
    return found.pop() if found else ()


def _describe(module: AutoencoderDC) -> dict[str, Any]:
    levels = range(len(module.widths))
    kinds = [{v: k for k, v in _BLOCKS.items()}[level in module.attention] for level in levels]
    norms = [{v: k for k, v in _NORMS.items()}[level in module.batch_normed] for level in levels]
    down, up = {v: k for k, v in _RESIZES.items()}[module.shuffled]
    scales = [list(module.scales) if level in module.attention else [] for level in levels]
    return {
        "in_channels": module.channels,
        "latent_channels": module.latents,
        "attention_head_dim": module.head,
        "encoder_block_types": kinds,
        "decoder_block_types": kinds,
        "encoder_block_out_channels": list(module.widths),
        "decoder_block_out_channels": list(module.widths),
        "encoder_layers_per_block": list(module.encoder_blocks),
        "decoder_layers_per_block": list(module.decoder_blocks),
        "encoder_qkv_multiscales": scales,
        "decoder_qkv_multiscales": scales,
        "downsample_block_type": down,
        "upsample_block_type": up,
        "decoder_norm_types": [norm for norm, _ in norms],
        "decoder_act_fns": [activation for _, activation in norms],
    }


def _weights(module: AutoencoderDC) -> list[Weight]:
    entered = ".conv" if module.encoder_blocks[0] == 0 else ""
    inner = entered.replace(".", "/")
    weights = affine(f"encoder.conv_in{entered}", f"encoder/conv_in{inner}")
    weights += affine("decoder.conv_in", "decoder/conv_in")
    last = len(module.widths) - 1
    for level in range(last + 1):
        for half, counts in (
            ("encoder", module.encoder_blocks),
            ("decoder", module.decoder_blocks),
        ):
            down = half == "encoder"
            public = f"{half}.{'down' if down else 'up'}_blocks.{level}"
            path = f"{half}/level_{level}"
            before = int(not down and level < last)  # the decoder's level begins with its resize
            for number in range(counts[level]):
                part = f"{public}.{before + number}"
                batch_norm = not down and level in module.batch_normed
                weights += _block(module, level, part, f"{path}_block_{number}", batch_norm)
            if level < last and counts[level]:
                part, side = (counts[level], "down") if down else (0, "up")
                weights += affine(f"{public}.{part}.conv", f"{path}_{side}/conv")
    weights += affine("encoder.conv_out", "encoder/conv_out")
    weights += scale_shift("decoder.norm_out", "decoder/norm_out")
    return weights + affine(f"decoder.conv_out{entered}", f"decoder/conv_out{inner}")


def _block(
    module: AutoencoderDC, level: int, public: str, path: str, batch_norm: bool
) -> list[Weight]:
    if level in module.attention:
        return _efficient_vit(module, public, path)
    weights = affine(f"{public}.conv1", f"{path}/conv_1")
    weights += affine(f"{public}.conv2", f"{path}/conv_2", bias=False)
    weights += scale_shift(f"{public}.norm", f"{path}/norm")
    if batch_norm:
        for theirs, ours in (("running_mean", "mean"), ("running_var", "var")):
            stored = Weight(f"{public}.norm.{theirs}", f"{path}/norm/{ours}", collection=_MOMENTS)
            weights.append(stored)
    return weights


def _efficient_vit(module: AutoencoderDC, public: str, path: str) -> list[Weight]:
    weights = []
    for number, name in enumerate(("to_q", "to_k", "to_v")):
        weights += affine(f"{public}.attn.{name}", f"{path}/attention/third_{number}", bias=False)
    for number in range(len(module.scales)):
        scale, ours = (
            f"{public}.attn.to_qkv_multiscale.{number}",
            f"{path}/attention/scale_{number}",
        )
        weights += affine(f"{scale}.proj_in", f"{ours}_in", bias=False)
        weights += affine(f"{scale}.proj_out", f"{ours}_out", bias=False)
    weights += affine(f"{public}.attn.to_out", f"{path}/attention/out", bias=False)
    weights += scale_shift(f"{public}.attn.norm_out", f"{path}/attention/norm")
    gated, ours = f"{public}.conv_out", f"{path}/gated"
    weights += affine(f"{gated}.conv_inverted", f"{ours}/expand", points=2)
    weights += affine(f"{gated}.conv_depth", f"{ours}/depth")
    weights += affine(f"{gated}.conv_point", f"{ours}/reduce", bias=False, points=2)
    return weights + scale_shift(f"{gated}.norm", f"{ours}/norm")


ARCHITECTURES = {
    "AutoencoderDC": Architecture(
        "AutoencoderDC",
        "diffusers",
        AutoencoderDC,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=smallest_picture,
    )
}
