"""Weights of :mod:`mmjax.codecs.pyramid` under the names of diffusers and of taming-transformers.

Both layouts hold the same convolutions. Diffusers counts the decoder's levels from the lowest
resolution and keeps the attention's projections as matrices; the layout of VQ-GAN's authors, which
transformers follows, keeps them as 1x1 convolutions.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmjax.codecs.pyramid import Decoder, Encoder
from mmjax.errors import UserError
from mmjax.interop.architecture import only
from mmjax.interop.common import Weight, affine, scale_shift

_BLOCKS = {
    "encoder": {"DownEncoderBlock2D": False, "AttnDownEncoderBlock2D": True},
    "decoder": {"UpDecoderBlock2D": False, "AttnUpDecoderBlock2D": True},
}


@dataclasses.dataclass(frozen=True)
class Names:
    """What one library calls the parts of an encoder and a decoder.

    Attributes:
      level: name of a level, by half, with its count in the order of computation.
      block: name of a residual block in a level, with its number.
      attention: name of its attention.
      resize: name of a level's change of resolution, by half.
      middle: name of the middle.
      middle_blocks: names of its two residual blocks.
      middle_attention: name of its attention.
      norm_out: name of the last normalisation.
      shortcut: name of a residual block's shortcut.
      norm: name of the attention's normalisation.
      projections: names of its query, key, value and output.
      points: whether these are 1x1 convolutions, by the number of their window axes.
    """

    level: Mapping[str, str]
    block: str
    attention: str
    resize: Mapping[str, str]
    middle: str
    middle_blocks: tuple[str, str]
    middle_attention: str
    norm_out: str
    shortcut: str
    norm: str
    projections: tuple[str, str, str, str]
    points: int


DIFFUSERS = Names(
    level={"encoder": "down_blocks.{}", "decoder": "up_blocks.{}"},
    block="resnets.{}",
    attention="attentions.{}",
    resize={"encoder": "downsamplers.0.conv", "decoder": "upsamplers.0.conv"},
    middle="mid_block",
    middle_blocks=("resnets.0", "resnets.1"),
    middle_attention="attentions.0",
    norm_out="conv_norm_out",
    shortcut="conv_shortcut",
    norm="group_norm",
    projections=("to_q", "to_k", "to_v", "to_out.0"),
    points=0,
)
TRANSFORMERS = Names(
    level={"encoder": "down.{}", "decoder": "up.{}"},
    block="block.{}",
    attention="attn.{}",
    resize={"encoder": "downsample.conv", "decoder": "upsample.conv"},
    middle="mid",
    middle_blocks=("block_1", "block_2"),
    middle_attention="attn_1",
    norm_out="norm_out",
    shortcut="nin_shortcut",
    norm="norm",
    projections=("q", "k", "v", "proj_out"),
    points=2,
)


def half_weights(half: Encoder | Decoder, names: Names) -> list[Weight]:
    """The table of an encoder or a decoder, under the path ``encoder`` or ``decoder``."""
    root = "encoder" if isinstance(half, Encoder) else "decoder"
    last = len(half.widths) - 1
    order = list(range(last + 1)) if root == "encoder" else list(range(last, -1, -1))
    blocks = half.blocks + (root == "decoder")
    weights = affine(f"{root}.conv_in", f"{root}/conv_in")
    weights += _middle(f"{root}.{names.middle}", f"{root}/middle", half.middle, names)
    before = half.widths[order[0]]
    for count, level in enumerate(order):
        public, path = f"{root}.{names.level[root].format(count)}", f"{root}/level_{level}"
        for block in range(blocks):
            part = f"{public}.{names.block.format(block)}"
            widens = before != half.widths[level]
            weights += _residual(part, f"{path}_block_{block}", widens, names)
            if level in half.attention:
                part = f"{public}.{names.attention.format(block)}"
                weights += _attention(part, f"{path}_attention_{block}", names)
            before = half.widths[level]
        if level != order[-1]:
            side = "down" if root == "encoder" else "up"
            weights += affine(f"{public}.{names.resize[root]}", f"{path}_{side}/conv")
    weights += scale_shift(f"{root}.{names.norm_out}", f"{root}/norm_out")
    return weights + affine(f"{root}.conv_out", f"{root}/conv_out")


def diffusers_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the ``config.json`` of an image autoencoder of diffusers says of its pyramid."""
    only(config, "act_fn", ("silu",), "silu")
    only(config, "norm_type", ("group",), "group")
    channels = config.get("in_channels", 3)
    only(config, "out_channels", (channels,), 3)
    widths = tuple(config.get("block_out_channels", (64,)))
    attending = {}
    for half, kinds in _BLOCKS.items():
        field = "down_block_types" if half == "encoder" else "up_block_types"
        types = list(config.get(field, [next(iter(kinds))]))
        if len(types) != len(widths) or not kinds.keys() >= set(types):
            raise UserError(
                f"config.json: {field} {types} is not supported here, only {len(widths)} of "
                f"{' or '.join(kinds)}"
            )
        order = types if half == "encoder" else types[::-1]
        attending[half] = tuple(level for level, kind in enumerate(order) if kinds[kind])
    if attending["encoder"] != attending["decoder"]:
        raise UserError("config.json: down_block_types and up_block_types attend at other levels")
    return {
        "channels": channels,
        "widths": widths,
        "blocks": config.get("layers_per_block", 1),
        "groups": config.get("norm_num_groups", 32),
        "attention": attending["encoder"],
        "middle": config.get("mid_block_add_attention", True),
    }


def diffusers_config(module: Any) -> dict[str, Any]:
    """The inverse of :func:`diffusers_fields`."""
    levels = range(len(module.widths))
    down, up = (
        [{attends: kind for kind, attends in kinds.items()}[n in module.attention] for n in levels]
        for kinds in _BLOCKS.values()
    )
    return {
        "in_channels": module.channels,
        "out_channels": module.channels,
        "block_out_channels": list(module.widths),
        "layers_per_block": module.blocks,
        "norm_num_groups": module.groups,
        "down_block_types": down,
        "up_block_types": up[::-1],
        "mid_block_add_attention": module.middle,
    }


def _middle(public: str, path: str, attends: bool, names: Names) -> list[Weight]:
    weights = []
    for block, name in enumerate(names.middle_blocks):
        weights += _residual(f"{public}.{name}", f"{path}_block_{block}", False, names)
    if attends:
        weights += _attention(f"{public}.{names.middle_attention}", f"{path}_attention", names)
    return weights


def _residual(public: str, path: str, widens: bool, names: Names) -> list[Weight]:
    weights = affine(f"{public}.{names.shortcut}", f"{path}/shortcut") if widens else []
    for part in ("1", "2"):
        weights += scale_shift(f"{public}.norm{part}", f"{path}/norm_{part}")
        weights += affine(f"{public}.conv{part}", f"{path}/conv_{part}")
    return weights


def _attention(public: str, path: str, names: Names) -> list[Weight]:
    weights = scale_shift(f"{public}.{names.norm}", f"{path}/norm")
    for theirs, ours in zip(names.projections, ("query", "key", "value", "out"), strict=True):
        weights += affine(f"{public}.{theirs}", f"{path}/{ours}", points=names.points)
    return weights
