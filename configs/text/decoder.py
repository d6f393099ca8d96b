"""A 7B decoder over bytes, four queries to each key.

The geometry of Jiang et al., "Mistral 7B" (2310.06825): 32 blocks, 4,096 wide, 32 query heads and 8
key heads (Ainslie et al. 2305.13245), RMS norms, rotary positions.

Command:  mmjax plan --config configs/text/decoder.py --topology v5p:4x4x4
          mmjax train --config configs/text/decoder.py --workdir runs/decoder
Hardware: a slice of TPUs, see ``mesh_presets`` and the plan; ``tiny`` takes seconds on two CPU
          cores.
Expected: not trained.
Data:     text files of your own under ``data/text`` (--config.data.train.root=...); ``tiny`` reads
          the descriptions that scikit-learn ships with its data sets.
Deviates: bytes for byte pairs; two matrices of 5.25 D hidden channels in place of three of 3.5 D in
          the gated MLP, which keeps its size; linear maps have biases; 6.98 B parameters.
"""

from ml_collections import ConfigDict

from mmjax.codecs.words import Bytes
from mmjax.presets import adamw, passages

VARIANTS = {
    # width, depth, heads, key heads, length, steps, warm-up, batch, learning rate
    "full": (4_096, 32, 32, 8, 4_096, 250_000, 2_000, 512, 3e-4),
    "tiny": (32, 2, 4, 2, 32, 8, 2, 8, 2e-3),
}
MESHES = {
    "v5e": {"data": 1, "fsdp": -1},
    "v5p": {"data": 1, "fsdp": -1},
    "v6e": {"data": 1, "fsdp": -1},
    "tpu7x": {"data": 1, "fsdp": -1},
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model of a size: ``full`` or ``tiny`` (seconds)."""
    width, depth, heads, key_heads, length, steps, warmup, batch, rate = VARIANTS[variant]
    tiny = variant == "tiny"
    config = ConfigDict({"name": "decoder", "seed": 0})
    config.modalities = {"text": {"_target_": "mmjax.modalities.text:Text", "length": length}}
    config.codecs = {"bytes": {"_target_": "mmjax.codecs.words:Bytes", "length": length}}
    config.streams = {
        "text": {
            "modality": "text", "codec": "bytes",
            "process": {
                "_target_": "mmjax.processes.next_token:NextToken", "begin": Bytes.begin,
            },
        }
    }  # fmt: skip
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads, "kv_heads": key_heads,
            "mlp_ratio": 5.25, "norm": "rms", "modulation": "none",
            "attention": {"text": "causal"},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary",
                "axes": ("index",), "dims": (width // heads,), "units": (1.0,),
            },
            "dtype": "float32" if tiny else "bfloat16", "remat": "none" if tiny else "full",
        }
    }  # fmt: skip
    config.objective = {"_target_": "mmjax.objectives.joint:Joint"}
    config.sampler = {"_target_": "mmjax.samplers.autoregressive:Autoregressive", "top_p": 0.95}
    schedule = {"peak": rate, "warmup": warmup, "decay": "cosine", "steps": steps, "final": 0.1}
    config.updates = adamw(schedule, b2=0.95, weight_decay=0.1, clip=1.0)
    config.data = passages(not tiny, length, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation = {"tasks": {"unconditional": {"want": ("text",)}}}
    config.mesh_presets = MESHES
    return config
