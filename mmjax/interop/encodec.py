"""Weights of :class:`mmjax.codecs.audio.encodec.Encodec` to and from transformers' EncodecModel."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.encodec import Encodec
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight
from mmjax.interop.seanet import half_weights

_FIELDS = {
    "sampling_rate": "rate", "audio_channels": "channels", "num_filters": "filters",
    "num_residual_layers": "units", "num_lstm_layers": "memories", "kernel_size": "kernel",
    "last_kernel_size": "last", "residual_kernel_size": "inner", "hidden_size": "features",
    "codebook_size": "vocabulary", "use_causal_conv": "causal", "use_conv_shortcut": "projected",
    "normalize": "even",
}  # fmt: skip
_NORMS = {"weight_norm": "weight", "time_group_norm": "group"}


def _build(config: Mapping[str, Any]) -> Encodec:
    fixed = {"pad_mode": "reflect", "compress": 2, "dilation_growth_rate": 2, "trim_right_ratio": 1}
    for name, value in fixed.items():
        only(config, name, (value,), value)
    only(config, "codebook_dim", (None, config["hidden_size"]), None)
    norm = _NORMS[only(config, "norm_type", _NORMS, "weight_norm")]
    ratios = tuple(config["upsampling_ratios"])[::-1]
    rate = math.ceil(config["sampling_rate"] / math.prod(ratios)) * _bits(config["codebook_size"])
    levels = int(1000 * config["target_bandwidths"][-1] // rate)
    if not levels or not config["num_lstm_layers"]:
        raise UserError(
            f"config.json: target_bandwidths and num_lstm_layers give {levels} codebooks and "
            f"{config['num_lstm_layers']} layers, of which there must be some"
        )
    return Encodec(
        ratios=ratios,
        levels=levels,
        norm=norm,
        seconds=float(config.get("chunk_length_s") or 0),
        overlap=float(config.get("overlap") or 0),
        **{ours: config[theirs] for theirs, ours in _FIELDS.items()},
    )


def _describe(module: Encodec) -> dict[str, Any]:
    steps = math.ceil(module.rate / module.strides[0])
    return {
        "model_type": "encodec",
        "upsampling_ratios": list(module.ratios[::-1]),
        "target_bandwidths": [module.levels * steps * _bits(module.vocabulary) / 1000],
        "norm_type": {ours: theirs for theirs, ours in _NORMS.items()}[module.norm],
        "chunk_length_s": module.seconds or None,
        "overlap": module.overlap if module.seconds else None,
        **{theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()},
    }


def _bits(vocabulary: int) -> int:
    return math.ceil(math.log2(vocabulary))


def _weights(module: Encodec) -> list[Weight]:
    bound = module.bind({})
    table = half_weights(bound.encoder, "encoder.layers", "encoder")
    table += half_weights(bound.decoder, "decoder.layers", "decoder")
    for level in range(module.levels):
        public, path = f"quantizer.layers.{level}.codebook", f"quantiser/level_{level}"
        for theirs, ours in (
            ("embed", "vectors"), ("embed_avg", "sums"), ("cluster_size", "counts")
        ):  # fmt: skip
            table.append(Weight(f"{public}.{theirs}", f"{path}/{ours}", collection="codebook"))
    return table


def _inputs(module: Encodec) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, module.strides[0], module.channels), jnp.float32),)


ARCHITECTURES = {
    "EncodecModel": Architecture(
        "EncodecModel",
        "transformers",
        Encodec,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
