"""Weights of :class:`mmjax.codecs.video.cosmos.AutoencoderKLCosmos` to and from diffusers."""

from collections.abc import Mapping
from typing import Any

from mmjax.codecs.video.cosmos import AutoencoderKLCosmos, Change
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine, scale_shift, smallest_clip

_FIELDS = {
    "in_channels": ("channels", 3),
    "latent_channels": ("latents", 16),
    "encoder_block_out_channels": ("widths", (128, 256, 512, 512)),
    "decode_block_out_channels": ("decoder_widths", (256, 512, 512, 512)),
    "num_layers": ("blocks", 2),
    "attention_resolutions": ("attention", (32,)),
    "resolution": ("resolution", 1024),
    "patch_size": ("patch", 4),
    "temporal_compression_ratio": ("time", 8),
    "spatial_compression_ratio": ("side", 8),
}
_WAVELET = {"haar": True, "rearrange": False}


def _build(config: Mapping[str, Any]) -> AutoencoderKLCosmos:
    kind = only(config, "patch_type", _WAVELET, "haar")
    only(config, "out_channels", (config.get("in_channels", 3),), 3)
    fields = {ours: config.get(theirs, value) for theirs, (ours, value) in _FIELDS.items()}
    fields = {n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()}
    return AutoencoderKLCosmos(wavelet=_WAVELET[kind], **fields)


def _describe(module: AutoencoderKLCosmos) -> dict[str, Any]:
    fields = {theirs: getattr(module, ours) for theirs, (ours, _) in _FIELDS.items()}
    return {
        **{name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()},
        "out_channels": module.channels,
        "patch_type": "haar" if module.wavelet else "rearrange",
    }


def _weights(module: AutoencoderKLCosmos) -> list[Weight]:
    down, up = module.changes
    to_latents, to_pixels = module.attending
    weights = _levels("encoder", "down", module.widths, module.blocks, to_latents, down)
    widths = module.decoder_widths[::-1]
    weights += _levels("decoder", "up", widths, module.blocks + 1, to_pixels, up)
    for half in ("encoder", "decoder"):
        weights += _factorised(f"{half}.conv_in", f"{half}/conv_in")
        weights += scale_shift(f"{half}.norm_out.norm", f"{half}/norm_out")
        weights += _factorised(f"{half}.conv_out", f"{half}/conv_out")
        public, path = f"{half}.mid_block", f"{half}/middle"
        for block in range(2):
            weights += _residual(f"{public}.resnets.{block}", f"{path}_block_{block}", False)
        weights += _attention(f"{public}.attentions.0", f"{path}_space")
        weights += _attention(f"{public}.temp_attentions.0", f"{path}_time")
    weights += affine("quant_conv", "project", points=3)
    return weights + affine("post_quant_conv", "unproject", points=3)


def _levels(
    half: str,
    end: str,
    widths: tuple[int, ...],
    blocks: int,
    attending: tuple[bool, ...],
    changes: tuple[Change, ...],
) -> list[Weight]:
    weights = []
    for level, change in enumerate(changes):
        path, public = f"{half}/level_{level}", f"{half}.{end}_blocks.{level}"
        for block in range(blocks):
            widens = not block and widths[level] != widths[level + 1]
            weights += _residual(f"{public}.resnets.{block}", f"{path}_block_{block}", widens)
            if attending[level]:
                weights += _attention(f"{public}.attentions.{block}", f"{path}_space_{block}")
                weights += _attention(f"{public}.temp_attentions.{block}", f"{path}_time_{block}")
        if any(change):
            make = _down if end == "down" else _up
            weights += make(f"{public}.{end}samplers.0", f"{path}_{end}", change)
    return weights


def _down(public: str, path: str, change: Change) -> list[Weight]:
    time, space = change
    weights = affine(f"{public}.conv1", f"{path}/space") if space else []
    weights += affine(f"{public}.conv2", f"{path}/time") if time else []
    return weights + affine(f"{public}.conv3", f"{path}/mix", points=3)


def _up(public: str, path: str, change: Change) -> list[Weight]:
    time, space = change
    weights = affine(f"{public}.conv1", f"{path}/time/conv") if time else []
    weights += affine(f"{public}.conv2", f"{path}/space/conv") if space else []
    return weights + affine(f"{public}.conv3", f"{path}/mix", points=3)


def _residual(public: str, path: str, widens: bool) -> list[Weight]:
    shortcut = affine(f"{public}.conv_shortcut", f"{path}/shortcut", points=3)
    weights = shortcut if widens else []
    for part in (1, 2):
        weights += scale_shift(f"{public}.norm{part}.norm", f"{path}/norm_{part}")
        weights += _factorised(f"{public}.conv{part}", f"{path}/conv_{part}")
    return weights


def _factorised(public: str, path: str) -> list[Weight]:
    space = affine(f"{public}.conv_s", f"{path}/space/conv")
    return space + affine(f"{public}.conv_t", f"{path}/time/conv")


def _attention(public: str, path: str) -> list[Weight]:
    weights = scale_shift(f"{public}.norm.norm", f"{path}/norm")
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "out"}
    for theirs, ours in names.items():
        weights += affine(f"{public}.{theirs}", f"{path}/{ours}", points=3)
    return weights


ARCHITECTURES = {
    "AutoencoderKLCosmos": Architecture(
        "AutoencoderKLCosmos",
        "diffusers",
        AutoencoderKLCosmos,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=smallest_clip,
    )
}
