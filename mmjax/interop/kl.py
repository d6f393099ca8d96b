"""Weights of :class:`mmjax.codecs.kl.AutoencoderKL` to and from diffusers' ``AutoencoderKL``."""

import re
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.codecs.kl import AutoencoderKL
from mmjax.interop.common import Weight, affine, export_weights, import_weights, scale_shift
from mmjax.typing import Tree

# Checkpoints older than diffusers 0.15 call the attention's projections by these names.
_FORMER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_FORMER_NAME = re.compile(rf"(attentions\.\d+)\.({'|'.join(_FORMER)})\.")


def import_kl(module: AutoencoderKL, state: Mapping[str, np.ndarray]) -> dict[str, Tree]:
    """The parameters of ``module`` from a diffusers state dict; UserError if keys do not fit."""
    side = 2 ** len(module.widths)
    image = jax.ShapeDtypeStruct((1, side, side, module.channels), jnp.float32)
    like = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
    return import_weights(_table(module), _modernise(state), like)


def export_kl(module: AutoencoderKL, params: Tree) -> dict[str, np.ndarray]:
    """The diffusers state dict of ``params``."""
    return export_weights(_table(module), params)


def _modernise(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict with the attention's present names, its 1x1 convolutions as matrices."""
    renamed = {}
    for name, array in state.items():
        name = _FORMER_NAME.sub(lambda found: f"{found[1]}.{_FORMER[found[2]]}.", name)
        if ".attentions." in name and array.ndim == 4:
            array = array[:, :, 0, 0]
        renamed[name] = array
    return renamed


def _table(module: AutoencoderKL) -> list[Weight]:
    levels = len(module.widths)
    weights = affine("quant_conv", "moments") + affine("post_quant_conv", "unproject")
    for half in ("encoder", "decoder"):
        weights += affine(f"{half}.conv_in", f"{half}/conv_in")
        weights += scale_shift(f"{half}.conv_norm_out", f"{half}/norm_out")
        weights += affine(f"{half}.conv_out", f"{half}/conv_out")
        weights += _middle(half)
    for level, width in enumerate(module.widths):
        before = module.widths[max(level - 1, 0)]
        public, path = f"encoder.down_blocks.{level}", f"encoder/level_{level}"
        weights += _level(public, path, module.blocks, before != width)
        if level < levels - 1:
            weights += affine(f"{public}.downsamplers.0.conv", f"{path}_down/conv")
        before = module.widths[min(level + 1, levels - 1)]
        # The decoder counts its levels from the lowest resolution.
        public, path = f"decoder.up_blocks.{levels - 1 - level}", f"decoder/level_{level}"
        weights += _level(public, path, module.blocks + 1, before != width)
        if level:
            weights += affine(f"{public}.upsamplers.0.conv", f"{path}_up/conv")
    return weights


def _level(public: str, path: str, blocks: int, widens: bool) -> list[Weight]:
    weights = []
    for block in range(blocks):
        weights += _residual(
            f"{public}.resnets.{block}", f"{path}_block_{block}", widens and block == 0
        )
    return weights


def _middle(half: str) -> list[Weight]:
    public, path = f"{half}.mid_block", f"{half}/middle"
    weights = scale_shift(f"{public}.attentions.0.group_norm", f"{path}_attention/norm")
    for theirs, ours in zip(_FORMER.values(), ("query", "key", "value", "out"), strict=True):
        weights += affine(f"{public}.attentions.0.{theirs}", f"{path}_attention/{ours}")
    for block in range(2):
        weights += _residual(f"{public}.resnets.{block}", f"{path}_block_{block}", False)
    return weights


def _residual(public: str, path: str, shortcut: bool) -> list[Weight]:
    weights = affine(f"{public}.conv_shortcut", f"{path}/shortcut") if shortcut else []
    for part in ("1", "2"):
        weights += scale_shift(f"{public}.norm{part}", f"{path}/norm_{part}")
        weights += affine(f"{public}.conv{part}", f"{path}/conv_{part}")
    return weights
