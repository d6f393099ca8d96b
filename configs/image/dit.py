"""DiT: class-conditional pictures from a transformer on the latents of an autoencoder.

Peebles and Xie, "Scalable Diffusion Models with Transformers" (2212.09748). The twelve published
sizes are ``S/8`` to ``XL/2``, on the 32 x 32 x 4 latents of 256-pixel pictures; ``XL/2`` has
674.8 M parameters that train. ``digits`` works on pixels and needs no autoencoder.

Command:  mmjax train --config configs/image/dit.py:digits --workdir runs/dit
          mmjax train --config configs/image/dit.py:XL/2 --workdir runs/dit_xl, after
          mmjax data cache has written data/latents/train and data/latents/test with the
          autoencoder of configs/image/kl_vae.py
Hardware: ``digits`` takes minutes on two CPU cores; XL/2 took the authors 256 TPU v3 cores.
Expected: ``XL/2`` after 7 M steps: FID-50K 2.27, IS 278.2 on ImageNet 256; protocol: moving average
          of parameters (0.9999), 250 DDPM steps, guidance 1.5.
Deviates: guidance acts on all latent channels, the published code's on three.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw

SIZES = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}
PUBLISHED = {
    # side, width, depth, heads, patch, steps, batch
    f"{size}/{patch}": (256, *geometry, patch, 400_000, 256)
    for size, geometry in SIZES.items()
    for patch in (2, 4, 8)
}
VARIANTS = PUBLISHED | {
    "digits": (8, 128, 4, 4, 2, 4_000, 64),
    "tiny": (8, 32, 2, 2, 2, 8, 8),
}


def get_config(variant: str = "XL/2") -> ConfigDict:
    """DiT of a published size such as ``B/4``, or ``digits`` (minutes), or ``tiny`` (seconds)."""
    side, width, depth, heads, patch, steps, batch = VARIANTS[variant]
    published = variant in PUBLISHED
    stride = 8 if published else 1  # pixels per latent
    config = ConfigDict({"name": "dit", "seed": 0})
    config.modalities = {
        "image": {
            "_target_": "mmjax.modalities.image:Image",
            "height": side, "width": side, "channels": 3 if published else 1,
        },
        "label": {"_target_": "mmjax.modalities.label:Label", "classes": 1000 if published else 10},
    }  # fmt: skip
    config.codecs = {
        "latents": {
            "_target_": "mmjax.codecs.latents:Latents", "strides": (stride, stride), "features": 4,
        }
        if published
        else {"_target_": "mmjax.codecs.pixels:Pixels"}
    }  # fmt: skip
    config.streams = {
        "label": {
            "order": 0, "modality": "label", "drop_rate": 0.1,
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        },
        "image": {
            "order": 1, "modality": "image", "codec": "latents",
            "process": {
                "_target_": "mmjax.processes.gaussian:Gaussian", "schedule_name": "linear",
            },
        },
    }  # fmt: skip
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads,
            "patch": {"image": (patch, patch)}, "pooled": ("label",),
            "clock": {"scale": 1000.0, "offset": -1.0},
            "absolute": {
                "_target_": "mmjax.layers.positions:SinCos",
                "axes": ("width", "height"), "units": (float(stride * patch),) * 2, "origin": 0.5,
            },
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.joint:Joint",
        "times": {"_target_": "mmjax.processes.times:TimeSampler"},
    }
    config.sampler = {
        "_target_": "mmjax.samplers.ancestral:DDPM", "steps": 250 if variant != "tiny" else 2,
        "guidance": {"label": {"scale": 1.5, "drop": ("label",)}},
    }  # fmt: skip
    config.updates = adamw({"peak": 1e-4 if published else 1e-3})
    config.data = {
        "train": _source("train", side, published),
        "evaluation": _source("test", side, published),
        "batch_size": batch,
    }
    config.train = {
        "steps": steps, "ema": 0.9999 if published else 0.99, "log_every": 20, "save_every": 500,
    }  # fmt: skip
    config.evaluation = {"tasks": {"class_to_image": {"given": ("label",), "want": ("image",)}}}
    return config


def _source(split: str, side: int, latents: bool) -> dict:
    if latents:
        return {"_target_": "mmjax.data.cache:Cached", "folder": f"data/latents/{split}"}
    digits = {"_target_": "mmjax.data.digits:Digits", "height": side, "width": side}
    return digits | {"split": split}
