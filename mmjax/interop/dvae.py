"""Weights of :class:`mmjax.codecs.dvae.DVAEEncoder`, transformers' FlavaImageCodebook."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.dvae import DVAEEncoder
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine

_FIELDS = {
    "input_channels": "channels", "hidden_size": "width", "num_blocks_per_group": "blocks",
    "vocab_size": "vocabulary",
}  # fmt: skip
_GROUPS = 4


def _build(config: Mapping[str, Any]) -> DVAEEncoder:
    only(config, "num_groups", (_GROUPS,), _GROUPS)
    return DVAEEncoder(**{ours: config[theirs] for theirs, ours in _FIELDS.items()})


def _describe(module: DVAEEncoder) -> dict[str, Any]:
    fields = {theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()}
    return {"model_type": "flava_image_codebook", "num_groups": _GROUPS, **fields}


def _weights(module: DVAEEncoder) -> list[Weight]:
    weights, before = affine("blocks.input", "conv_in"), 1
    for group in range(_GROUPS):
        for block in range(module.blocks):
            public = f"blocks.group_{group + 1}.group.block_{block + 1}"
            path = f"group_{group}_block_{block}"
            for index in range(4):
                name = f"{public}.res_path.path.conv_{index + 1}"
                weights += affine(name, f"{path}/conv_{index}")
            if before != 2**group:
                weights += affine(f"{public}.id_path", f"{path}/shortcut")
            before = 2**group
    return weights + affine("blocks.output.conv", "conv_out")


def _inputs(module: DVAEEncoder) -> tuple[jax.ShapeDtypeStruct]:
    side = 2 ** (_GROUPS - 1)
    return (jax.ShapeDtypeStruct((1, side, side, module.channels), jnp.float32),)


ARCHITECTURES = {
    "FlavaImageCodebook": Architecture(
        "FlavaImageCodebook",
        "transformers",
        DVAEEncoder,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
