"""Weights of :class:`mmjax.codecs.audio.dac.Dac` to and from transformers' ``DacModel``."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.dac import Dac
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture
from mmjax.interop.common import Weight, affine
from mmjax.interop.dilated import half_weights

_FIELDS = {"n_codebooks": "levels", "codebook_size": "vocabulary", "codebook_dim": "size"}


def _build(config: Mapping[str, Any]) -> Dac:
    ratios = tuple(config["downsampling_ratios"])
    first, last = config["encoder_hidden_size"], config["decoder_hidden_size"]
    levels = range(len(ratios) + 1)
    if last % 2 ** len(ratios):
        raise UserError(
            f"config.json: decoder_hidden_size {last} is no multiple of {2 ** len(ratios)}"
        )
    return Dac(
        encoder_widths=tuple(first * 2**level for level in levels),
        decoder_widths=tuple(last // 2**level for level in reversed(levels)),
        ratios=ratios,
        dropout=float(config["quantizer_dropout"]),
        **{ours: config[theirs] for theirs, ours in _FIELDS.items()},
    )


def _describe(module: Dac) -> dict[str, Any]:
    return {
        "model_type": "dac",
        "encoder_hidden_size": module.encoder_widths[0],
        "decoder_hidden_size": module.decoder_widths[-1],
        "downsampling_ratios": list(module.ratios),
        "quantizer_dropout": module.dropout,
        **{theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()},
    }


def _weights(module: Dac) -> list[Weight]:
    bound = module.bind({})
    table = half_weights(bound.encoder, "encoder", "encoder", None)
    table += half_weights(bound.decoder, "decoder", "decoder", None)
    for level in range(module.levels):
        public, path = f"quantizer.quantizers.{level}", f"quantiser/level_{level}"
        table.append(Weight(f"{public}.codebook.weight", f"{path}/codebook"))
        table += affine(f"{public}.in_proj", f"{path}/project", points=1)
        table += affine(f"{public}.out_proj", f"{path}/unproject", points=1)
    return table


def _inputs(module: Dac) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, math.prod(module.ratios), 1), jnp.float32),)


ARCHITECTURES = {
    "DacModel": Architecture(
        "DacModel",
        "transformers",
        Dac,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
