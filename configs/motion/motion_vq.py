"""Motion as codes: one code for four frames, or six that refine each other.

``full`` is the codec of T2M-GPT (Zhang et al. 2023, 2301.06052, section 3.1), 512 codes that follow
moving averages and restart; ``residual`` MoMask's (Guo et al. 2023, 2312.00063, section 3.1), six
levels of as many.

Command:  mmjax train --config configs/motion/motion_vq.py:walks --workdir runs/motion_vq
Hardware: ``walks`` takes minutes on two CPU cores; ``full`` and ``residual`` one accelerator.
Expected: ``walks``: an error of 0.032 of standardised features on batches after 1,000 steps
          (0.182 after the first 20, and for the mean motion), 51 of 64 codes in use by perplexity;
          protocol: log of the loss.
Data:     ``walks`` and ``tiny`` read walking bodies made by mmjax.data.walks; the others features
          of HumanML3D, standardised, in ``data/motions/train/*.npy`` and ``data/motions/test``
          (--config.data.train.root=...).
Deviates: codebooks begin at random and restart, where the published ones begin at the first batch's
          vectors; a level of MoMask's is left out by example, not by batch.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw

POSITIONS = (4, 67)  # of the joints but the root, among HumanML3D's features
VARIANTS = {
    # frames, width, blocks, levels, codes, steps, batch, learning rate
    "full": (64, 512, 3, 1, 512, 300_000, 256, 2e-4),
    "residual": (64, 512, 3, 6, 512, 300_000, 256, 2e-4),
    "walks": (64, 64, 2, 1, 64, 1_000, 32, 1e-3),
    "tiny": (8, 16, 1, 1, 8, 8, 8, 1e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The codec: ``full``, ``residual``, ``walks`` (minutes) or ``tiny`` (seconds)."""
    frames, width, depth, levels, codes, steps, batch, rate = VARIANTS[variant]
    config = ConfigDict({"name": "motion_vq", "seed": 0})
    config.modalities = {
        "motion": {"_target_": "mmjax.modalities.motion:Motion", "frames": frames}
    }  # fmt: skip
    config.streams = {
        "motion": {"modality": "motion", "process": {"_target_": "mmjax.processes.clean:Clean"}}
    }
    quantiser = {
        "_target_": "mmjax.codecs.quantisers.ema:MovingAverage",
        "vocabulary": codes, "size": width, "reset": 1.0,
    }  # fmt: skip
    if levels > 1:
        quantiser = {
            "_target_": "mmjax.codecs.quantisers.residual:Residual",
            "quantiser": quantiser, "levels": levels, "dropout": 0.2,
        }  # fmt: skip
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.motion:MotionVQ",
            "quantiser": quantiser, "size": width, "width": width, "depth": depth,
        }
    }  # fmt: skip
    smooth = "mmjax.objectives.smooth:Smooth"
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "motion",
        "penalties": {"commitment": 0.02 / levels},
        "errors": {
            "features": {"_target_": smooth},
            "positions": {"_target_": smooth, "weight": 0.5, "channels": POSITIONS},
        },
    }  # fmt: skip
    config.updates = adamw({"peak": rate}, b2=0.99)
    made = {"_target_": "mmjax.data.walks:Walks", "frames": frames}
    own = {"_target_": "mmjax.data.folder:Folder"}
    config.data = {
        field: own | {"root": f"data/motions/{split}"} if width == 512 else made | {"split": split}
        for field, split in (("train", "train"), ("evaluation", "test"))
    }
    config.data.batch_size = batch
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
