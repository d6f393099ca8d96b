"""Weights of CLIP's towers to and from transformers' ``CLIPModel``."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.interop.common import Weight, affine, export_weights, import_weights, scale_shift
from mmjax.models.towers import ImageTower, TextTower, Towers
from mmjax.streams import Stream
from mmjax.typing import Tree

IMAGE, TEXT = "image", "text"
_POSITIONS = "embeddings.position_embedding.weight"
_BLOCK = {
    "self_attn.q_proj": "query/linear",
    "self_attn.k_proj": "key/linear",
    "self_attn.v_proj": "value/linear",
    "self_attn.out_proj": "out",
    "mlp.fc1": "mlp/up",
    "mlp.fc2": "mlp/down",
}


def import_clip(module: Towers, state: Mapping[str, np.ndarray]) -> dict[str, Tree]:
    """The parameters of ``module``, with towers ``image`` and ``text``, from a state dict.

    The image size and text length are those of the state dict's position embeddings.

    Raises:
      UserError: keys or shapes do not fit.
    """
    # Checkpoints older than transformers 4.31 hold these constants too.
    state = {key: array for key, array in state.items() if not key.endswith(".position_ids")}
    image, text = module.towers[IMAGE], module.towers[TEXT]
    streams = {
        IMAGE: _image_stream(image, state),
        TEXT: _text_stream(len(state.get(f"text_model.{_POSITIONS}", [0]))),
    }
    like = jax.eval_shape(module.init, jax.random.key(0), streams)["params"]
    return import_weights(_image_table(image) + _text_table(text) + _SCALE, state, like)


def export_clip(module: Towers, params: Tree) -> dict[str, np.ndarray]:
    """The transformers state dict of ``params``."""
    image, text = module.towers[IMAGE], module.towers[TEXT]
    return export_weights(_image_table(image) + _text_table(text) + _SCALE, params)


_SCALE = [Weight("logit_scale", "log_scale")]


def _image_stream(tower: ImageTower, state: Mapping[str, np.ndarray]) -> Stream:
    patches = len(state.get(f"vision_model.{_POSITIONS}", [0, 0])) - 1
    kernel = state.get("vision_model.embeddings.patch_embedding.weight", np.zeros((1, 3, 1, 1)))
    side = tower.patch * math.isqrt(patches)
    return _stream((1, side, side, kernel.shape[1]), jnp.float32, 2)


def _text_stream(length: int) -> Stream:
    return _stream((1, length), jnp.int32, 1)


def _stream(shape: tuple[int, ...], dtype, axes: int) -> Stream:
    grid = shape[1 : 1 + axes]
    return Stream(
        jnp.zeros(shape, dtype),
        jnp.zeros(1),
        jnp.ones((1, *grid), bool),
        jnp.zeros((1, *grid, axes)),
    )


def _image_table(tower: ImageTower) -> list[Weight]:
    public, path = "vision_model", f"towers_{IMAGE}"
    return [
        Weight(f"{public}.embeddings.class_embedding", f"{path}/class_token"),
        Weight(f"{public}.{_POSITIONS}", f"{path}/positions"),
        *affine(f"{public}.embeddings.patch_embedding", f"{path}/patch", bias=False),
        *scale_shift(f"{public}.pre_layrnorm", f"{path}/norm_in"),
        *_encoder(f"{public}.encoder", f"{path}/encoder", tower.depth),
        *scale_shift(f"{public}.post_layernorm", f"{path}/norm_out"),
        *affine("visual_projection", f"{path}/project", bias=False),
    ]


def _text_table(tower: TextTower) -> list[Weight]:
    public, path = "text_model", f"towers_{TEXT}"
    return [
        Weight(f"{public}.embeddings.token_embedding.weight", f"{path}/embed/embedding"),
        Weight(f"{public}.{_POSITIONS}", f"{path}/positions"),
        *_encoder(f"{public}.encoder", f"{path}/encoder", tower.depth),
        *scale_shift(f"{public}.final_layer_norm", f"{path}/norm_out"),
        *affine("text_projection", f"{path}/project", bias=False),
    ]


def _encoder(public: str, path: str, depth: int) -> list[Weight]:
    weights = []
    for layer in range(depth):
        theirs, ours = f"{public}.layers.{layer}", f"{path}/stack/tokens"
        weights += scale_shift(f"{theirs}.layer_norm1", f"{ours}/attention_norm", layer)
        weights += scale_shift(f"{theirs}.layer_norm2", f"{ours}/mlp_norm", layer)
        for part, place in _BLOCK.items():
            weights += affine(f"{theirs}.{part}", f"{ours}/{place}", layer)
    return weights
