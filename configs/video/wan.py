"""Video from text: one transformer over the tokens of the caption and of the film's latents.

Wan team, "Wan: Open and Advanced Large-Scale Video Generative Models" (2503.20314): the sizes
``14B`` (40 blocks, 5,120 wide, 40 heads, 13,824 hidden channels; 75,600 video tokens of 720p),
``5B`` and ``1.3B``, with the latents, patches and flow shift of each.

Command:  mmjax plan --config configs/video/wan.py:14B --topology v5e:16x16
          mmjax train --config configs/video/wan.py:14B --workdir runs/wan, after mmjax data cache
Hardware: a slice of TPUs, see ``mesh_presets`` and the plan; ``tiny`` takes seconds on two CPU
          cores.
Expected: not trained.
Data:     a cache of latents in ``data/latents/train`` (--config.data.train.folder=...); ``tiny``
          takes the bouncing digits as they are.
Deviates: the caption, as bytes, joins the one sequence, where Wan attends to it across (4 D^2 a
          block); each block has a modulation map of its own (6 D^2), and keys and values are
          shared by groups of heads, which keeps the sizes: 14.5 B, 5.1 B and 1.4 B; 84 frames where
          its causal autoencoder takes 81.
"""

from ml_collections import ConfigDict

from mmjax.data.bouncing_digits.captions import vocabulary
from mmjax.presets import adamw

VARIANTS = {
    # width, hidden, depth, heads, key heads, rotary dims, text length, batch, film, latents
    "14B": (5_120, 13_824, 40, 40, 8, (44, 32, 32, 20), 512, 32, (84, 720, 1280, 16), (4, 8, 16)),
    "5B": (3_072, 14_336, 30, 24, 8, (44, 32, 32, 20), 512, 64, (124, 704, 1280, 24), (4, 16, 48)),
    "1.3B": (1_536, 8_960, 30, 12, 4, (44, 32, 32, 20), 512, 64, (84, 480, 832, 16), (4, 8, 16)),
    "tiny": (48, 128, 2, 2, 1, (8, 4, 4, 4), 16, 8, (24, 24, 24, 12.5), None),
}
MESHES = {
    "v5e": {"data": 1, "fsdp": -1, "context": 8},
    "v5p": {"data": 1, "fsdp": -1, "context": 4},
    "v6e": {"data": 1, "fsdp": -1, "context": 8},
    "tpu7x": {"data": 1, "fsdp": -1, "context": 8},
}


def get_config(variant: str = "14B") -> ConfigDict:
    """The model of a published size (``14B``, ``5B``, ``1.3B``) or ``tiny`` (seconds)."""
    width, hidden, depth, heads, key_heads, dims, length, batch, film, latents = VARIANTS[variant]
    tiny = variant == "tiny"
    frames, height, columns, fps = film
    patch = (4, 12, 12) if tiny else (1, 2, 2)
    strides = (1, 1, 1) if tiny else (latents[0], latents[1], latents[1])
    span = [stride * cells for stride, cells in zip(strides, patch, strict=True)]  # of a token
    config = ConfigDict({"name": "wan", "seed": 0})
    config.modalities = {
        "video": {
            "_target_": "mmjax.modalities.video:Video",
            "frames": frames, "height": height, "width": columns, "fps": fps,
            "channels": 1 if tiny else 3,
        },
        "text": {"_target_": "mmjax.modalities.text:Text", "length": length},
    }  # fmt: skip
    config.codecs = _codecs(latents, length)
    config.streams = {
        "text": {
            "order": 0, "modality": "text", "codec": "text", "drop_rate": 0.1,
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        },
        "video": {
            "order": 1, "modality": "video", "codec": "video",
            "process": {"_target_": "mmjax.processes.flow:Flow", "prediction": "velocity"},
        },
    }  # fmt: skip
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads, "kv_heads": key_heads,
            "mlp_ratio": hidden / width, "qk_norm": True,
            "patch": {"video": patch},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary", "interleaved": True,
                "axes": ("time", "height", "width", "index"), "dims": dims,
                "units": (span[0] / fps, float(span[1]), float(span[2]), 1.0),
            },
            "dtype": "float32" if tiny else "bfloat16", "remat": "none" if tiny else "full",
        }
    }  # fmt: skip
    shift = 12.0 if variant == "14B" else 5.0
    config.objective = {
        "_target_": "mmjax.objectives.joint:Joint",
        "times": {
            "_target_": "mmjax.processes.times:TimeSampler",
            "distribution": {"_target_": "mmjax.processes.times:LogitNormal", "shift": shift},
        },
    }
    config.sampler = {
        "_target_": "mmjax.samplers.ode:Euler", "steps": 2 if tiny else 50, "shift": shift,
        "guidance": {"text": {"scale": 5.0, "drop": ("text",)}},
    }  # fmt: skip
    schedule = {"peak": 1e-3 if tiny else 1e-4, "warmup": 2 if tiny else 1_000}
    config.updates = adamw(schedule, weight_decay=0.01, clip=1.0)
    config.data = {
        "train": _source("train", tiny), "evaluation": _source("test", tiny), "batch_size": batch,
    }  # fmt: skip
    config.train = {"steps": 8 if tiny else 100_000, "log_every": 20, "save_every": 500}
    config.evaluation = {
        "batch_size": 8 if tiny else 32,
        "tasks": {"text_to_video": {"given": ("text",), "want": ("video",)}},
    }
    if not tiny:
        config.mesh_presets = MESHES
    return config


def _codecs(latents: tuple[int, int, int] | None, length: int) -> dict:
    if latents is None:
        words = tuple(filter(str.isalnum, vocabulary()))
        return {
            "video": {"_target_": "mmjax.codecs.pixels:Pixels"},
            "text": {"_target_": "mmjax.codecs.words:Words", "length": length, "words": words},
        }
    frames, pixels, features = latents
    return {
        "video": {
            "_target_": "mmjax.codecs.latents:Latents",
            "strides": (frames, pixels, pixels), "features": features,
        },
        "text": {"_target_": "mmjax.codecs.words:Bytes", "length": length},
    }  # fmt: skip


def _source(split: str, tiny: bool) -> dict:
    if tiny:
        return {"_target_": "mmjax.data.bouncing_digits:BouncingDigits", "split": split}
    return {"_target_": "mmjax.data.cache:Cached", "folder": f"data/latents/{split}"}
