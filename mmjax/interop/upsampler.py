"""The weights of :class:`mmjax.codecs.audio.upsampler.Upsampler` under the names of vocoders."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mmjax.codecs.audio.upsampler import Upsampler
from mmjax.errors import UserError
from mmjax.interop.common import Weight, affine


@dataclasses.dataclass(frozen=True)
class Names:
    """How a public vocoder names its parts.

    Attributes:
      first: the first convolution.
      up: a transposed convolution, with its index as ``{}``.
      block: a residual block, with its index as ``{}``.
      last: the last convolution.
      snake: the activation before it.
      snakes: those of a block, first and second of a pair whose index is ``{}``; ``{twice}`` and
        ``{odd}`` count through both.
      down: the filter that lowers the rate, within an activation.
    """

    first: str
    up: str
    block: str
    last: str
    snake: str = ""
    snakes: tuple[str, str] = ("", "")
    down: str = ""


def upsampler_weights(module: Upsampler, names: Names, path: str = "upsampler") -> list[Weight]:
    """The table of the network at ``path``."""
    table = affine(names.first, f"{path}/conv_in")
    blocks = len(module.block_kernels)
    for level in range(len(module.rates)):
        table += affine(names.up.format(level), f"{path}/level_{level}_up")
        for block, dilations in enumerate(module.dilations):
            public = names.block.format(level * blocks + block)
            place = f"{path}/level_{level}_block_{block}"
            for index in range(len(dilations)):
                table += affine(f"{public}.convs1.{index}", f"{place}/dilated_{index}")
                table += affine(f"{public}.convs2.{index}", f"{place}/plain_{index}")
                if module.slope is None:
                    table += _snakes(names, public, place, index)
    if module.slope is None:
        table += _snake(names.snake, f"{path}/snake_out", names.down)
    return table + affine(names.last, f"{path}/conv_out", bias=module.bias)


def fields(config: Mapping[str, Any], names: Sequence[str], first: int) -> dict[str, Any]:
    """The sizes of the network in a public config, whose lists have these names.

    Args:
      config: fields of ``config.json``.
      names: of the rates, their kernels, the blocks' kernels and the blocks' dilations.
      first: channels before the first transposed convolution.

    Raises:
      UserError: the lists differ in length, or a block's kernels are even.
    """
    rates, kernels, block_kernels, dilations = (config[name] for name in names)
    if len(rates) != len(kernels) or len(block_kernels) != len(dilations):
        raise UserError(f"config.json: {', '.join(names)} differ in length")
    if any(kernel % 2 == 0 for kernel in block_kernels):
        raise UserError(f"config.json: {names[2]} {block_kernels} must be odd")
    return {
        "widths": tuple(first // 2**level for level in range(len(rates) + 1)),
        "rates": tuple(rates),
        "kernels": tuple(kernels),
        "block_kernels": tuple(block_kernels),
        "dilations": tuple(map(tuple, dilations)),
    }


def describe(module: Any, names: Sequence[str]) -> dict[str, Any]:
    """The inverse of :func:`fields`, without the channels."""
    values = module.rates, module.kernels, module.block_kernels, map(list, module.dilations)
    return {name: list(value) for name, value in zip(names, values, strict=True)}


def _snakes(names: Names, public: str, place: str, index: int) -> list[Weight]:
    table = []
    for name, part in zip(names.snakes, ("dilated", "plain"), strict=True):
        name = name.format(index, twice=2 * index, odd=2 * index + 1)
        table += _snake(f"{public}.{name}", f"{place}/snake_{part}_{index}", names.down)
    return table


def _snake(public: str, path: str, down: str) -> list[Weight]:
    return [
        Weight(f"{public}.act.alpha", f"{path}/snake/frequency"),
        Weight(f"{public}.act.beta", f"{path}/snake/magnitude"),
        Weight(f"{public}.upsample.filter", f"{path}/up", collection="constants"),
        Weight(f"{public}.downsample.{down}", f"{path}/down", collection="constants"),
    ]
