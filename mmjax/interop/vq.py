"""Weights of :mod:`mmjax.codecs.vq` to and from ``VQModel``, ``JanusVQVAE``, ``ChameleonVQVAE``.

The last has no decoder; the convolution that it keeps for one is carried along. Janus' decoder
reads the entries of the codebook at length 1.
"""

from collections.abc import Mapping
from typing import Any

from mmjax.codecs.pyramid import Decoder, Encoder
from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.vq import VQAutoencoder, VQEncoder
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine, smallest_picture
from mmjax.interop.pyramid import (
    DIFFUSERS,
    TRANSFORMERS,
    Names,
    diffusers_config,
    diffusers_fields,
    half_weights,
)

_GROUPS = 32  # in both classes of transformers


def _build_diffusers(config: Mapping[str, Any]) -> VQAutoencoder:
    only(config, "lookup_from_codebook", (False, True), False)
    latents = config.get("latent_channels", 3)
    size = config.get("vq_embed_dim") or latents
    quantiser = Nearest(config.get("num_vq_embeddings", 256), size)
    return VQAutoencoder(quantiser, size, latents=latents, **diffusers_fields(config))


def _describe_diffusers(module: VQAutoencoder) -> dict[str, Any]:
    _plain_quantiser(module, unit=False)
    return {
        **diffusers_config(module),
        "latent_channels": module.latents,
        "vq_embed_dim": module.size,
        "num_vq_embeddings": module.quantiser.vocabulary,
    }


def _fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """What both classes of transformers say in the same words."""
    only(config, "double_latent", (False,), False)
    base, factors = config.get("base_channels", 128), config.get("channel_multiplier")
    return {
        "size": config["embed_dim"],
        "channels": config.get("in_channels", 3),
        "widths": tuple(base * factor for factor in factors or (1, 1, 2, 2, 4)),
        "blocks": config.get("num_res_blocks", 2),
        "latents": config.get("latent_channels", 256),
        "groups": _GROUPS,
    }


def _describe(module: VQEncoder) -> dict[str, Any]:
    base = module.widths[0]
    if module.groups != _GROUPS or any(width % base for width in module.widths):
        raise UserError(
            f"transformers normalise over {_GROUPS} groups and widen by whole factors, which "
            f"groups={module.groups}, widths={module.widths} do not"
        )
    return {
        "base_channels": base,
        "channel_multiplier": [width // base for width in module.widths],
        "double_latent": False,
        "embed_dim": module.size,
        "in_channels": module.channels,
        "latent_channels": module.latents,
        "num_embeddings": module.quantiser.vocabulary,
        "num_res_blocks": module.blocks,
    }


def _build_janus(config: Mapping[str, Any]) -> VQAutoencoder:
    fields = _fields({"embed_dim": 8, **config})
    only(config, "out_channels", (fields["channels"],), 3)
    quantiser = Nearest(config.get("num_embeddings", 16384), fields["size"], unit=True)
    return VQAutoencoder(quantiser, attention=(len(fields["widths"]) - 1,), **fields)


def _describe_janus(module: VQAutoencoder) -> dict[str, Any]:
    _plain_quantiser(module, unit=True)
    if module.attention != (len(module.widths) - 1,) or not module.middle:
        raise UserError("JanusVQVAE attends at the lowest resolution, and at no other")
    kind = {"model_type": "janus_vqgan", "out_channels": module.channels}
    return {**kind, **_describe(module)}


def _build_chameleon(config: Mapping[str, Any]) -> VQEncoder:
    fields = _fields({"embed_dim": 256, **config})
    attends = only(config, "attn_type", ("vanilla", None), "vanilla") is not None
    side, levels = config.get("resolution", 512), range(len(fields["widths"]))
    sides = set(config.get("attn_resolutions") or ())
    attention = tuple(n for n in levels if side // 2**n in sides) if attends else ()
    quantiser = Nearest(config.get("num_embeddings", 8192), fields["size"])
    return VQEncoder(quantiser, attention=attention, middle=attends, **fields)


def _describe_chameleon(module: VQEncoder) -> dict[str, Any]:
    _plain_quantiser(module, unit=False)
    side = 512
    return {
        "model_type": "chameleon_vqgan",
        "resolution": side,
        "attn_resolutions": [side // 2**level for level in module.attention] or None,
        "attn_type": "vanilla" if module.middle else None,
        **_describe(module),
    }


def _plain_quantiser(module: VQEncoder, unit: bool) -> None:
    if module.quantiser != Nearest(module.quantiser.vocabulary, module.size, unit=unit):
        raise UserError(f"this layout holds the quantiser Nearest with unit={unit} alone")


def _weights(module: VQEncoder, names: Names) -> list[Weight]:
    weights = half_weights(Encoder(features=module.latents, **module.shape), names)
    weights.append(Weight("quantize.embedding.weight", "quantiser/codebook"))
    weights += affine("quant_conv", "project")
    if isinstance(module, VQAutoencoder):
        weights += affine("post_quant_conv", "unproject")
        weights += half_weights(Decoder(features=module.channels, **module.shape), names)
    return weights


def _architecture(public, library, module, build, describe, names) -> Architecture:
    return Architecture(
        public,
        library,
        module,
        build=build,
        describe=describe,
        weights=lambda module: _weights(module, names),
        inputs=smallest_picture,
    )


ARCHITECTURES = {
    entry[0]: _architecture(*entry)
    for entry in (
        ("VQModel", "diffusers", VQAutoencoder, _build_diffusers, _describe_diffusers, DIFFUSERS),
        ("JanusVQVAE", "transformers", VQAutoencoder, _build_janus, _describe_janus, TRANSFORMERS),
        (
            "ChameleonVQVAE", "transformers", VQEncoder, _build_chameleon, _describe_chameleon,
            TRANSFORMERS,
        ),
    )
}  # fmt: skip
