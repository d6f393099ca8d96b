"""A film with its sound from a text: two wide streams of tokens that attend to each other.

HaCohen et al., "LTX-2: Efficient Joint Audio-Visual Foundation Model" (2601.03233): 48 blocks, a
video stream 4,096 wide (32 heads of 128) and a sound stream 2,048 wide, on 128-channel latents of
8 x 32 x 32 pixels and of 40 ms. Here both lanes are those of the shared trunk: 14.5 B parameters
for the picture, 4.4 B for the sound and 0.6 B for a narrow lane of the caption.

Command:  mmjax plan --config configs/av/ltx2.py --topology v6e:16x16
          mmjax train --config configs/av/ltx2.py --workdir runs/ltx2, after mmjax data cache
Hardware: 128 v5p chips, of which it needs a sixth of the memory; see ``mesh_presets`` for others;
          ``tiny`` takes seconds on two CPU cores.
Expected: not trained; the plan's memory and speed bound on v5p are in benchmarks/RESULTS.md.
Data:     a cache of latents in ``data/latents/train`` (--config.data.train.folder=...); ``tiny``
          takes the bouncing digits as they are.
Deviates: one attention over all three lanes for its self, text and audio-video cross attention;
          each block has modulation maps of its own (6 D^2) in place of shared ones; 120 frames
          where its causal autoencoder takes 121; the caption as bytes.
"""

from ml_collections import ConfigDict

from mmjax.data.bouncing_digits.captions import vocabulary
from mmjax.presets import adamw

VARIANTS = {
    # width, audio and text widths, depth, heads, rotary dims, text length, steps, batch
    "full": (4_096, 2_048, 512, 48, 32, (44, 32, 32, 20), 256, 100_000, 256),
    "tiny": (48, 32, 16, 2, 2, (8, 4, 4, 4), 16, 8, 8),
}
FULL = {
    "video": {"frames": 120, "height": 512, "width": 768, "fps": 24, "channels": 3},
    "audio": {"samples": 80_000, "rate": 16_000, "channels": 2},
}
TINY = {
    "video": {"frames": 24, "height": 24, "width": 24, "fps": 12.5, "channels": 1},
    "audio": {"samples": 15_360, "rate": 8_000, "channels": 2},
}
MESHES = {
    "v5e": {"data": 1, "fsdp": -1, "context": 2},
    "v5p": {"data": 1, "fsdp": -1},
    "v6e": {"data": 1, "fsdp": -1},
    "tpu7x": {"data": 1, "fsdp": -1},
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model of the published size (``full``) or ``tiny`` (seconds)."""
    width, audio, text, depth, heads, dims, length, steps, batch = VARIANTS[variant]
    tiny = variant == "tiny"
    media = TINY if tiny else FULL
    config = ConfigDict({"name": "ltx2", "seed": 0})
    config.modalities = {
        "video": {"_target_": "mmjax.modalities.video:Video", **media["video"]},
        "audio": {"_target_": "mmjax.modalities.audio:Audio", **media["audio"]},
        "text": {"_target_": "mmjax.modalities.text:Text", "length": length},
    }
    config.codecs = _codecs(tiny, length)
    flow = {"_target_": "mmjax.processes.flow:Flow", "prediction": "velocity"}
    config.streams = {
        "text": {
            "order": 0, "modality": "text", "codec": "text", "drop_rate": 0.1,
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        },
        "video": {
            "order": 1, "modality": "video", "codec": "video", "process": flow, "dropped": "noise",
        },
        "audio": {
            "order": 2, "modality": "audio", "codec": "audio", "process": flow, "dropped": "noise",
        },
    }  # fmt: skip
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer", "topology": "dual",
            "width": width, "widths": {"audio": audio, "text": text},
            "depth": depth, "heads": heads, "norm": "rms", "qk_norm": True,
            "patch": {"video": (4, 12, 12), "audio": (5,)} if tiny else {},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary",
                "axes": ("time", "height", "width", "index"), "dims": dims,
                "units": (0.04, 6.0, 6.0, 1.0) if tiny else (0.04, 32.0, 32.0, 1.0),
            },
            "dtype": "float32" if tiny else "bfloat16", "remat": "none" if tiny else "full",
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.joint:Joint",
        "times": {
            "_target_": "mmjax.processes.times:TimeSampler",
            "distribution": {"_target_": "mmjax.processes.times:LogitNormal", "shift": 5.0},
            "shared": 0.8, "clean": {"video": 0.1, "audio": 0.1},
        },
    }  # fmt: skip
    config.sampler = {
        "_target_": "mmjax.samplers.ode:Euler", "steps": 2 if tiny else 40, "shift": 5.0,
        "guidance": {"text": {"scale": 3.0, "drop": ("text",)}},
    }  # fmt: skip
    schedule = {"peak": 1e-3 if tiny else 1e-4, "warmup": 2 if tiny else 1_000}
    config.updates = adamw(schedule, weight_decay=0.01, clip=1.0)
    config.data = {
        "train": _source("train", tiny), "evaluation": _source("test", tiny), "batch_size": batch,
    }  # fmt: skip
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation = {
        "batch_size": 8 if tiny else 64,
        "tasks": {"text_to_both": {"given": ("text",), "want": ("video", "audio")}},
    }
    config.mesh_presets = MESHES
    return config


def _codecs(tiny: bool, length: int) -> dict:
    if tiny:
        words = tuple(filter(str.isalnum, vocabulary()))
        return {
            "video": {"_target_": "mmjax.codecs.pixels:Pixels"},
            "audio": {"_target_": "mmjax.codecs.mdct:MDCT", "hop": 128},
            "text": {"_target_": "mmjax.codecs.words:Words", "length": length, "words": words},
        }
    latents = {"_target_": "mmjax.codecs.latents:Latents", "features": 128}
    return {
        "video": latents | {"strides": (8, 32, 32)},
        "audio": latents | {"strides": (640,)},
        "text": {"_target_": "mmjax.codecs.words:Bytes", "length": length},
    }


def _source(split: str, tiny: bool) -> dict:
    if tiny:
        return {"_target_": "mmjax.data.bouncing_digits:BouncingDigits", "split": split}
    return {"_target_": "mmjax.data.cache:Cached", "folder": f"data/latents/{split}"}
