"""Shapes as sets of vectors: points of a surface to latents, and what is inside.

3DShape2VecSet (Zhang et al. 2023, 2301.11445), section 5. ``full`` has 512 latents of 64 numbers
and 24 blocks of 512 channels.

Command:  mmjax train --config configs/shape/vec_set.py:solids --workdir runs/vec_set
Hardware: ``solids`` takes minutes on two CPU cores; ``full`` wants eight accelerators.
Expected: ``solids``: 0.82 of the answers right on batches after 1,000 steps, 0.32 nats each
          (0.76 and 0.55 where the answer is always the same); protocol: log of the loss.
Data:     ellipsoids, boxes and rings made by mmjax.data.solids; nothing is downloaded.
Deviates: solids in place of ShapeNet; no stochastic depth.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw

VARIANTS = {
    # points, queries, latents, their numbers, width, blocks, heads, steps, batch, learning rate
    "full": (2048, 2048, 512, 64, 512, 24, 8, 320_000, 64, 5e-5),
    "solids": (256, 256, 16, 16, 64, 2, 1, 1_000, 16, 5e-4),
    "tiny": (64, 64, 8, 8, 32, 1, 1, 8, 16, 3e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full``, ``solids`` (minutes) or ``tiny`` (seconds)."""
    points, asked, latents, size, width, depth, heads, steps, batch, rate = VARIANTS[variant]
    config = ConfigDict({"name": "vec_set", "seed": 0})
    cloud = "mmjax.modalities.cloud:Cloud"
    config.modalities = {
        "surface": {"_target_": cloud, "points": points},
        "queries": {"_target_": cloud, "points": asked, "features": 4},
    }
    clean = {"_target_": "mmjax.processes.clean:Clean"}
    config.streams = {
        "surface": {"order": 0, "modality": "surface", "process": clean},
        "queries": {"order": 1, "modality": "queries", "process": clean},
    }
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.vec_set:VecSet",
            "latents": latents, "size": size, "width": width, "depth": depth, "heads": heads,
        }
    }  # fmt: skip
    config.objective = {"_target_": "mmjax.objectives.occupancy:Occupancy"}
    config.updates = adamw({"peak": rate, "warmup": steps // 10})
    solids = {"_target_": "mmjax.data.solids:Solids", "points": points, "asked": asked}
    config.data = {
        "train": solids | {"split": "train"},
        "evaluation": solids | {"split": "test"},
        "batch_size": batch,
    }
    config.evaluation = {
        "tasks": {"reconstruction": {"given": ("surface", "queries"), "want": ("queries",)}},
        "metrics": {
            "occupancy": {
                "_target_": "mmjax.evaluation.metrics.occupancy:Occupancy", "field": "queries",
            }
        },
    }  # fmt: skip
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
