"""Clouds of points through one vector and back.

Achlioptas et al., "Learning Representations and Generative Models for 3D Point Clouds"
(1707.02392), section 4 and appendix A: PointNet's layers and their largest features, then dense
layers, under the Chamfer distance. ``full`` has the published layers, 1,770,240 parameters.

Command:  mmjax train --config configs/shape/point_autoencoder.py:solids --workdir runs/points
Hardware: ``solids`` takes minutes on two CPU cores; ``full`` takes one accelerator.
Expected: ``solids``: a Chamfer distance of 0.015 on training batches after 1,000 steps (2.0 over
          the first 20); protocol: log of the loss.
Data:     ellipsoids, boxes and rings made by mmjax.data.solids; nothing is downloaded.
Deviates: solids in place of ShapeNet.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw

VARIANTS = {
    # points, numbers of the vector, widths of a point's layers, of dense layers, steps, batch, rate
    "full": (2048, 128, (64, 128, 128, 256), (256, 256), 100_000, 50, 5e-4),
    "solids": (256, 32, (32, 64), (128,), 1_000, 32, 2e-3),
    "tiny": (16, 4, (8,), (8,), 8, 8, 1e-2),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full``, ``solids`` (minutes) or ``tiny`` (seconds)."""
    points, size, widths, hidden, steps, batch, rate = VARIANTS[variant]
    config = ConfigDict({"name": "point_autoencoder", "seed": 0})
    config.modalities = {"surface": {"_target_": "mmjax.modalities.cloud:Cloud", "points": points}}
    config.streams = {
        "surface": {"modality": "surface", "process": {"_target_": "mmjax.processes.clean:Clean"}}
    }
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.point_cloud:PointAutoencoder",
            "points": points, "size": size, "widths": widths, "hidden": hidden,
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "surface", "penalties": {},
        "errors": {"chamfer": {"_target_": "mmjax.objectives.chamfer:Chamfer"}},
    }  # fmt: skip
    config.updates = adamw({"peak": rate})
    solids = {"_target_": "mmjax.data.solids:Solids", "points": points, "asked": 2}
    config.data = {
        "train": solids | {"split": "train"},
        "evaluation": solids | {"split": "test"},
        "batch_size": batch,
    }
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
