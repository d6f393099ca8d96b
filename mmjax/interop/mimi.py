"""Weights of :class:`mmjax.codecs.audio.mimi.Mimi` to and from transformers' ``MimiModel``."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.mimi import Mimi
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.audio import convolution
from mmjax.interop.common import Weight, affine, scale_shift
from mmjax.interop.seanet import half_weights

_FIELDS = {
    "sampling_rate": "rate", "audio_channels": "channels", "num_filters": "filters",
    "num_residual_layers": "units", "kernel_size": "kernel", "last_kernel_size": "last",
    "residual_kernel_size": "inner", "hidden_size": "features", "num_hidden_layers": "depth",
    "num_attention_heads": "heads", "intermediate_size": "hidden", "sliding_window": "window",
    "num_semantic_quantizers": "semantic", "num_quantizers": "levels",
    "codebook_size": "vocabulary", "codebook_dim": "size",
}  # fmt: skip
_FIXED = {
    "use_causal_conv": True, "pad_mode": "constant", "compress": 2, "dilation_growth_rate": 2,
    "trim_right_ratio": 1, "use_conv_shortcut": False, "hidden_act": "gelu", "norm_eps": 1e-5,
    "attention_bias": False,
}  # fmt: skip
_BLOCK = {
    "self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value",
    "self_attn.o_proj": "out", "mlp.fc1": "up", "mlp.fc2": "down",
}  # fmt: skip


def _build(config: Mapping[str, Any]) -> Mimi:
    for name, value in _FIXED.items():
        only(config, name, (value,), value)
    width, size, heads = (
        config[name] for name in ("hidden_size", "codebook_dim", "num_attention_heads")
    )
    same = {
        "vector_quantization_hidden_dimension": size, "upsample_groups": width,
        "num_key_value_heads": heads, "head_dim": width // heads,
    }  # fmt: skip
    for name, value in same.items():
        only(config, name, (value, None), None)
    if size == width:
        raise UserError(f"config.json: codebook_dim {size} must differ from hidden_size")
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default" or rope.get("rope_theta", 1e4) != 1e4:
        raise UserError(f"config.json: rope_parameters {rope} are not supported, only theta 10000")
    module = Mimi(
        ratios=tuple(config["upsampling_ratios"])[::-1],
        **{ours: config[theirs] for theirs, ours in _FIELDS.items()},
    )
    slow = config.get("frame_rate") or config.get("_frame_rate")
    if slow and math.ceil(module.rate / math.prod(module.ratios)) != 2 * slow:
        raise UserError(f"config.json: frame_rate {slow} must be half of the convolutions'")
    return module


def _describe(module: Mimi) -> dict[str, Any]:
    return {
        "model_type": "mimi",
        "upsampling_ratios": list(module.ratios[::-1]),
        "vector_quantization_hidden_dimension": module.size,
        "upsample_groups": module.features,
        "num_key_value_heads": module.heads,
        "head_dim": module.features // module.heads,
        **{theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()},
    }


def _weights(module: Mimi) -> list[Weight]:
    bound, table = module.bind({}), []
    for half in ("encoder", "decoder"):
        table += half_weights(getattr(bound, half), f"{half}.layers", half)
        table += _transformer(f"{half}_transformer", module.depth)
    table += convolution("downsample.conv", "down/conv", bias=False)
    table += convolution("upsample.conv", "up/conv", bias=False)
    for kind, path, levels in (
        ("semantic", "content", module.semantic),
        ("acoustic", "sound", module.levels - module.semantic),
    ):
        public = f"quantizer.{kind}_residual_vector_quantizer"
        table += affine(f"{public}.input_proj", f"{path}/project", bias=False, points=1)
        table += affine(f"{public}.output_proj", f"{path}/unproject", bias=False, points=1)
        for level in range(levels):
            book, ours = f"{public}.layers.{level}.codebook", f"{path}/quantiser/level_{level}"
            for name, part in (("embed_sum", "sums"), ("cluster_usage", "counts")):
                table.append(Weight(f"{book}.{name}", f"{ours}/{part}", collection="codebook"))
    return table


def _transformer(name: str, depth: int) -> list[Weight]:
    table = []
    for layer in range(depth):
        public = f"{name}.layers.{layer}"
        for theirs, ours in _BLOCK.items():
            table += affine(f"{public}.{theirs}", f"{name}/{ours}", layer, bias=False)
        for theirs, ours in (("input_layernorm", "attention"), ("post_attention_layernorm", "mlp")):
            table += scale_shift(f"{public}.{theirs}", f"{name}/{ours}_norm", layer)
        for theirs, ours in (("self_attn", "attention"), ("mlp", "mlp")):
            scale = f"{public}.{theirs}_layer_scale.scale"
            table.append(Weight(scale, f"{name}/{ours}_scale", layer=layer))
    return table


def _inputs(module: Mimi) -> tuple[jax.ShapeDtypeStruct]:
    return (jax.ShapeDtypeStruct((1, module.strides[0], module.channels), jnp.float32),)


ARCHITECTURES = {
    "MimiModel": Architecture(
        "MimiModel",
        "transformers",
        Mimi,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
