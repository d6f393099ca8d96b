"""VQ-VAE-2's priors: a class to the codes of its top level, to those of its bottom, to a picture.

Razavi, van den Oord and Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2"
(1906.00446), section 3.2 and table 5: the codec of configs/image/vq_vae2.py is frozen; one prior
draws the top codes of a class, another the bottom codes under these. ``full`` has the published
depth, width and inner width of both (20 layers, 512, 2,048 above and 1,024 below).

Command:  mmjax train --config configs/image/vq_vae2.py:digits --workdir runs/vq_vae2, then
          mmjax train --config configs/image/vq_vae2_prior.py:digits --workdir runs/vq_vae2_prior
          mmjax sample --workdir runs/vq_vae2_prior --given label=3 --count 8 --out samples
Hardware: ``digits`` takes minutes on two CPU cores; ``full`` wants many accelerators.
Expected: ``digits``: 1.75 nats per code of the top and 2.01 of the bottom on training batches after
          600 steps (ln 64 = 4.16 for even ones); protocol: log of the loss.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/labelled/train`` and ``data/labelled/test``, each with a ``label`` from 0 to 999 in
          ``captions.jsonl`` there. ``full`` and ``digits`` take the codec from ``runs/vq_vae2``
          (--config.init.folder=...), ``tiny`` has an untrained one.
Deviates: transformers in place of PixelSNAIL. So the bottom prior attends, to the top codes and to
          its own, where the published one is convolutional; no dropout.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from mmjax.presets import adamw, picture_data, pictures, two_level_codec

VARIANTS = {
    # side, channels, the codec as in configs/image/vq_vae2.py, classes, width, heads, depth and
    # ratio of the top prior and of the bottom prior, steps, batch, learning rate
    "full": (
        256, 3, (128, 2, 32, 64, 512, 0.99, 0.0), 1000, 512, 8, (20, 4.0), (20, 2.0), 1_600_000,
        512, 3e-4,
    ),
    "digits": (16, 1, (32, 1, 16, 8, 64, 0.95, 0.05), 10, 64, 2, (2, 4.0), (2, 2.0), 600, 32, 2e-3),
    "tiny": (8, 1, (4, 1, 2, 2, 8, 0.95, 0.05), 10, 16, 2, (1, 4.0), (1, 2.0), 8, 8, 1e-2),
}  # fmt: skip
STRIDES = {"top": 8, "coarse": 8, "bottom": 4}  # pixels a side for each code; coarse: top, as read


def get_config(variant: str = "full") -> ConfigDict:
    """The priors of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, codec, classes, width, heads, top, bottom, *rest = VARIANTS[variant]
    steps, batch, rate = rest
    config = pictures("vq_vae2_prior", side, channels)
    config.modalities["label"] = {"_target_": "mmjax.modalities.label:Label", "classes": classes}
    autoencoder = two_level_codec(channels, *codec)
    for name, stride in STRIDES.items():
        config.codecs[name] = {
            "_target_": "mmjax.codecs.latents:Codes",
            "strides": (stride, stride), "vocabulary": autoencoder["quantiser"]["vocabulary"],
        }  # fmt: skip
    clean = {"_target_": "mmjax.processes.clean:Clean"}
    codes = {"_target_": "mmjax.processes.next_token:NextToken"}
    made = {"_target_": "mmjax.processes.likelihood:Likelihood", "family": "normal"}
    config.streams = {
        "label": {"order": 0, "modality": "label", "process": clean},
        "coarse": {"order": 1, "modality": "image", "codec": "coarse", "process": clean},
        "top": {"order": 2, "modality": "image", "codec": "top", "process": codes},
        "bottom": {"order": 3, "modality": "image", "codec": "bottom", "process": codes},
        "image": {"order": 4, "modality": "image", "codec": "pixels", "process": made},
    }
    config.networks = {
        "autoencoder": autoencoder,
        "top": _prior(("label", "top"), width, heads, *top),
        "bottom": _prior(("label", "coarse", "bottom"), width, heads, *bottom),
    }
    config.objective = {
        "_target_": "mmjax.objectives.hierarchy:Hierarchy",
        "levels": ("top", "bottom"), "read_as": {"top": "coarse"},
    }  # fmt: skip
    config.sampler = {"_target_": "mmjax.samplers.autoregressive:Autoregressive"}
    config.updates = adamw({"peak": rate, "warmup": steps // 20})
    config.updates["all"]["params"] = "(top|bottom)/.*"
    if variant != "tiny":
        config.init = {"folder": "runs/vq_vae2", "fresh": "(top|bottom)/.*"}
    config.data = picture_data(variant == "full", side, batch, "data/labelled")
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation = {"tasks": {"class_to_image": {"given": ("label",), "want": ("image",)}}}
    return config


def _prior(
    names: tuple[str, ...], width: int, heads: int, depth: int, ratio: float
) -> Mapping[str, Any]:
    """A transformer over these streams that draws the last."""
    pixels = float(STRIDES[names[-1]])
    share = width // heads // 2
    return {
        "_target_": "mmjax.models.among:Among",
        "names": names,
        "trunk": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads, "mlp_ratio": ratio,
            "modulation": "none", "attention": {names[-1]: "causal"},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary",
                "axes": ("height", "width"), "dims": (share, share), "units": (pixels, pixels),
            },
        },
    }  # fmt: skip
