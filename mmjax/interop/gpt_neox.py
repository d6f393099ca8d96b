"""Weights of a language model to and from transformers' ``GPTNeoXForCausalLM``.

For models whose attention and MLP come one after the other (``use_parallel_residual=False``), as in
RedPajama-INCITE, with ``layer_norm_eps=1e-6``. There queries, keys and values of a head are rows of
one matrix, and the output layer has no bias; here it has one, which is zero.
"""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.interop.common import (
    Weight,
    affine,
    export_weights,
    import_weights,
    report_keys,
    scale_shift,
)
from mmjax.models.transformer import Transformer
from mmjax.typing import Tree

_FUSED, _PARTS = "query_key_value", ("query", "key", "value")
_HEAD, _OLD_HEAD = "lm_head", "embed_out"  # its name in checkpoints before transformers 5
# Constants that checkpoints of older versions hold too.
_CONSTANT = re.compile(r".*\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)")
_BLOCK = {
    "attention.query": "query/linear",
    "attention.key": "key/linear",
    "attention.value": "value/linear",
    "attention.dense": "out",
    "mlp.dense_h_to_4h": "mlp/up",
    "mlp.dense_4h_to_h": "mlp/down",
}
_NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}


def import_gpt_neox(module: Transformer, state: Mapping[str, np.ndarray]) -> dict[str, Tree]:
    """The parameters of ``module`` (one causal stream of codes) from a transformers state dict.

    Raises UserError if keys or shapes do not fit.
    """
    state = {
        name.replace(f"{_OLD_HEAD}.", f"{_HEAD}."): array
        for name, array in state.items()
        if not _CONSTANT.fullmatch(name)
    }
    table = _table(module)
    separate = {weight.public for weight in table} - {f"{_HEAD}.bias"}
    report_keys({_fused_name(name) for name in separate}, set(state))
    (spec,) = module.streams.values()
    streams = {spec.name: spec.make(jnp.zeros(spec.shape(1), jnp.int32))}
    like = jax.eval_shape(module.init, jax.random.key(0), streams)["params"]
    return import_weights(table, _split(module, state), like)


def export_gpt_neox(module: Transformer, params: Tree) -> dict[str, np.ndarray]:
    """The transformers state dict of ``params``.

    Raises UserError if the output layer's bias is not zero.
    """
    state = export_weights(_table(module), params)
    if np.any(state.pop(f"{_HEAD}.bias")):
        raise UserError("the output layer has a bias, for which GPT-NeoX has no place")
    fused = {}
    for name, array in state.items():
        rows = array.reshape(module.heads, -1, *array.shape[1:]) if _is_part(name) else array
        fused.setdefault(_fused_name(name), []).append(rows)
    return {name: _fuse(parts) for name, parts in fused.items()}


def _fuse(parts: list[np.ndarray]) -> np.ndarray:
    """The one array of a name, or heads ``[K, D, ...]`` of queries, keys and values in a row."""
    if len(parts) == 1:
        return parts[0]
    heads = np.concatenate(parts, axis=1)
    return heads.reshape(-1, *heads.shape[2:])


def _split(module: Transformer, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict with queries, keys and values apart and a bias of zeros at the output."""
    apart = {f"{_HEAD}.bias": np.zeros(len(state[f"{_HEAD}.weight"]), np.float32)}
    for name, array in state.items():
        if _FUSED not in name:
            apart[name] = array
            continue
        heads = array.reshape(module.heads, len(_PARTS), -1, *array.shape[1:])
        for index, part in enumerate(_PARTS):
            rows = heads[:, index]
            apart[name.replace(_FUSED, part)] = rows.reshape(-1, *rows.shape[2:])
    return apart


def _is_part(name: str) -> bool:
    return name.split(".")[-2] in _PARTS


def _fused_name(name: str) -> str:
    *path, part, kind = name.split(".")
    return ".".join((*path, _FUSED if part in _PARTS else part, kind))


def _table(module: Transformer) -> list[Weight]:
    (stream,) = module.streams
    weights = [Weight("gpt_neox.embed_in.weight", f"input_{stream}/table")]
    for layer in range(module.depth):
        theirs, ours = f"gpt_neox.layers.{layer}", "blocks/joint"
        for norm, place in _NORMS.items():
            weights += scale_shift(f"{theirs}.{norm}", f"{ours}/{place}", layer)
        for part, place in _BLOCK.items():
            weights += affine(f"{theirs}.{part}", f"{ours}/{place}", layer)
    weights += scale_shift("gpt_neox.final_layer_norm", f"output_{stream}/norm")
    return weights + affine(_HEAD, f"output_{stream}/linear")
