"""Weights of :class:`mmjax.codecs.kl.AutoencoderKL` to and from diffusers' ``AutoencoderKL``."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmjax.codecs.kl import AutoencoderKL
from mmjax.codecs.pyramid import Decoder, Encoder
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture
from mmjax.interop.common import Weight, affine, smallest_picture
from mmjax.interop.pyramid import DIFFUSERS, diffusers_config, diffusers_fields, half_weights

# Checkpoints older than diffusers 0.15 call the attention's projections by these names.
_FORMER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_FORMER_NAME = re.compile(rf"(attentions\.\d+)\.({'|'.join(_FORMER)})\.")


def modernise(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state dict with the attention's present names, its 1x1 convolutions as matrices."""
    renamed = {}
    for name, array in state.items():
        name = _FORMER_NAME.sub(lambda found: f"{found[1]}.{_FORMER[found[2]]}.", name)
        if ".attentions." in name and array.ndim == 4:
            array = array[:, :, 0, 0]
        renamed[name] = array
    return renamed


def _build(config: Mapping[str, Any]) -> AutoencoderKL:
    projected = config.get("use_quant_conv", True)
    if config.get("use_post_quant_conv", True) != projected:
        raise UserError("config.json: use_quant_conv and use_post_quant_conv must agree")
    latents = config.get("latent_channels", 4)
    return AutoencoderKL(latents=latents, projected=projected, **diffusers_fields(config))


def _describe(module: AutoencoderKL) -> dict[str, Any]:
    return {
        **diffusers_config(module),
        "latent_channels": module.latents,
        "use_quant_conv": module.projected,
        "use_post_quant_conv": module.projected,
    }


def _weights(module: AutoencoderKL) -> list[Weight]:
    shape = {"widths": module.widths, "blocks": module.blocks, "groups": module.groups}
    shape |= {"attention": module.attention, "middle": module.middle}
    weights = half_weights(Encoder(features=2 * module.latents, **shape), DIFFUSERS)
    weights += half_weights(Decoder(features=module.channels, **shape), DIFFUSERS)
    if module.projected:
        weights += affine("quant_conv", "moments") + affine("post_quant_conv", "unproject")
    return weights


ARCHITECTURES = {
    "AutoencoderKL": Architecture(
        "AutoencoderKL",
        "diffusers",
        AutoencoderKL,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=smallest_picture,
        modernise=modernise,
    )
}
