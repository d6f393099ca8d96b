"""Weights of a class-conditional DiT to and from diffusers' ``DiTTransformer2DModel``.

There every block holds a copy of the time and class embeddings, and the table of classes ends with
the row of no class; here they are stored once, and that row is the pooled stream's ``null``.
"""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.interop.common import Weight, affine, export_weights, import_weights
from mmjax.models.transformer import Transformer
from mmjax.typing import Tree

_COPY = re.compile(r"transformer_blocks\.(\d+)\.norm1\.emb\.(.*)")
_SHARED = "transformer_blocks.0.norm1.emb"
_PATCHES = "pos_embed.proj.weight"
_TABLE = f"{_SHARED}.class_embedder.embedding_table.weight"
_NULL = f"{_SHARED}.class_embedder.null"


def import_dit(module: Transformer, state: Mapping[str, np.ndarray]) -> dict[str, Tree]:
    """The parameters of ``module`` (an image and a pooled label) from a diffusers state dict.

    Raises UserError if keys do not fit, or if blocks embed times or classes each in its own way.
    """
    streams = {name: spec.make(_zeros(spec)) for name, spec in module.streams.items()}
    like = jax.eval_shape(module.init, jax.random.key(0), streams)["params"]
    return import_weights(_table(module), _single(state), like)


def export_dit(module: Transformer, params: Tree) -> dict[str, np.ndarray]:
    """The diffusers state dict of ``params``."""
    state = export_weights(_table(module), params)
    image, _ = _names(module)
    kernel = state[_PATCHES]
    height, width = module.patch[image]
    state[_PATCHES] = kernel.reshape(len(kernel), height, width, -1).transpose(0, 3, 1, 2)
    state[_TABLE] = np.concatenate([state[_TABLE], state.pop(_NULL)[None]])
    for name in [name for name in state if name.startswith(_SHARED)]:
        for layer in range(1, module.depth):
            copy = _COPY.sub(rf"transformer_blocks.{layer}.norm1.emb.\2", name)
            state[copy] = state[name]
    return state


def _zeros(spec) -> jax.Array:
    return jnp.zeros(spec.shape(1), jnp.int32 if spec.discrete else jnp.float32)


def _names(module: Transformer) -> tuple[str, str]:
    """The names of the image and of the label."""
    (label,) = module.pooled
    (image,) = set(module.streams) - {label}
    return image, label


def _single(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict with one copy of the embeddings, patches as rows, no class apart."""
    single = {}
    for name, array in state.items():
        copy = _COPY.fullmatch(name)
        if copy is None or copy[1] == "0":
            single[name] = array
        elif not np.array_equal(array, state[f"{_SHARED}.{copy[2]}"]):
            raise UserError(f"{name!r} differs from block 0's; DiT shares embeddings among blocks")
    if _PATCHES in single:
        kernel = single[_PATCHES]
        single[_PATCHES] = kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)
    if _TABLE in single:
        single[_TABLE], single[_NULL] = single[_TABLE][:-1], single[_TABLE][-1]
    return single


def _table(module: Transformer) -> list[Weight]:
    image, label = _names(module)
    weights = affine("pos_embed.proj", f"input_{image}/linear")
    for theirs, ours in (("linear_1", "in"), ("linear_2", "out")):
        weights += affine(f"{_SHARED}.timestep_embedder.{theirs}", f"condition_joint/time/{ours}")
    weights.append(Weight(_TABLE, f"condition_joint/{label}/input/table"))
    weights.append(Weight(_NULL, f"condition_joint/{label}/null"))
    weights += affine("proj_out_1", f"output_{image}/modulation/linear")
    weights += affine("proj_out_2", f"output_{image}/linear")
    names = {
        "norm1.linear": "modulation/linear",
        "attn1.to_q": "query/linear",
        "attn1.to_k": "key/linear",
        "attn1.to_v": "value/linear",
        "attn1.to_out.0": "out",
        "ff.net.0.proj": "mlp/up",
        "ff.net.2": "mlp/down",
    }
    for layer in range(module.depth):
        for theirs, ours in names.items():
            public = f"transformer_blocks.{layer}.{theirs}"
            weights += affine(public, f"blocks/joint/{ours}", layer)
    return weights
