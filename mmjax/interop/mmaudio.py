"""Weights of :class:`mmjax.codecs.audio.mmaudio.MMAudio` to and from diffusers' MMAudioVAE."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.codecs.audio.mmaudio import MMAudio
from mmjax.errors import UserError
from mmjax.interop.architecture import Architecture
from mmjax.interop.audio import Channels
from mmjax.interop.common import Weight, affine

_FIELDS = {
    "mel_bins": "bins", "latent_channels": "latents", "layers_per_block": "blocks",
    "sample_rate": "rate", "n_fft": "window", "hop_length": "hop",
}  # fmt: skip


def _build(config: Mapping[str, Any]) -> MMAudio:
    multipliers, hidden = config["channel_multipliers"], config["hidden_channels"]
    if len(multipliers) < 2:
        raise UserError("config.json: channel_multipliers must be two or more")
    return MMAudio(
        widths=tuple(hidden * multiplier for multiplier in multipliers),
        **{ours: config[theirs] for theirs, ours in _FIELDS.items()},
    )


def _describe(module: MMAudio) -> dict[str, Any]:
    return {
        "hidden_channels": module.widths[0],
        "channel_multipliers": [width // module.widths[0] for width in module.widths],
        **{theirs: getattr(module, ours) for theirs, ours in _FIELDS.items()},
    }


def _weights(module: MMAudio) -> list[Weight]:
    table = [
        Weight("mel_converter.mel_basis", "filters", collection="constants"),
        Weight("mel_converter.hann_window", "window", collection="constants"),
        Channels("vae.data_mean", "mean", collection="constants"),
        Channels("vae.data_std", "deviation", collection="constants"),
    ]
    for half, ends in (("encoder", "down"), ("decoder", "up")):
        table += _plain(f"vae.{half}.conv_in", f"{half}/conv_in")
        table += _plain(f"vae.{half}.conv_out", f"{half}/conv_out")
        table.append(Weight(f"vae.{half}.learnable_gain", f"{half}/gain"))
        table += _middle(module, f"vae.{half}.mid", f"{half}/middle")
        table += _levels(module, half, ends)
    for index in (1, 2):
        name = f"vae.encoder.down.0.downsample.conv{index}"
        table += _plain(name, f"encoder/down_{index}")
    return table + _plain("vae.decoder.up.1.upsample.conv", "decoder/up")


def _levels(module: MMAudio, half: str, ends: str) -> list[Weight]:
    widths, encodes = module.widths, half == "encoder"
    order = range(len(widths)) if encodes else reversed(range(len(widths)))
    width, table = widths[0 if encodes else -1], []
    for level in order:
        for block in range(module.blocks + (not encodes)):
            public = f"vae.{half}.{ends}.{level}.block.{block}"
            place = f"{half}/level_{level}_block_{block}"
            table += _block(public, place, width != widths[level])
            width = widths[level]
    return table


def _middle(module: MMAudio, public: str, path: str) -> list[Weight]:
    table = _plain(f"{public}.attn_1.qkv", f"{path}_attention/query_key_value")
    table += _plain(f"{public}.attn_1.proj_out", f"{path}_attention/out")
    table += _block(f"{public}.block_1", f"{path}_block_0", False)
    return table + _block(f"{public}.block_2", f"{path}_block_1", False)


def _block(public: str, path: str, widens: bool) -> list[Weight]:
    table = _plain(f"{public}.conv1", f"{path}/conv_1") + _plain(
        f"{public}.conv2", f"{path}/conv_2"
    )
    return table + _plain(f"{public}.nin_shortcut", f"{path}/shortcut") * widens


def _plain(public: str, path: str) -> list[Weight]:
    return affine(public, path, bias=False)


def _inputs(module: MMAudio) -> tuple[jax.ShapeDtypeStruct]:
    samples = 2 * module.hop * -(-module.window // module.hop)  # enough to mirror
    return (jax.ShapeDtypeStruct((1, samples, 1), jnp.float32),)


ARCHITECTURES = {
    "MMAudioVAE": Architecture(
        "MMAudioVAE",
        "diffusers",
        MMAudio,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
    )
}
