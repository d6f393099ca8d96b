"""The KL autoencoder of latent diffusion: pictures to a small grid of numbers and back.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2112.10752),
section 3.1 and appendix G. ``full`` is Stable Diffusion's f8 autoencoder, 83,653,863 parameters.

Command:  mmjax train --config configs/image/kl_vae.py:digits --workdir runs/kl_vae
Hardware: ``digits`` takes minutes on two CPU cores; ``full`` wants eight accelerators.
Expected: ``digits``: a mean absolute error of 0.042 of pixels in [-1, 1] on training batches after
          480 steps (0.36 after the first 20); protocol: log of the loss, latents sampled.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/images/train`` and ``data/images/test`` (--config.data.train.root=...).
Deviates: no perceptual and no adversarial term; the published training adds both.
"""

from ml_collections import ConfigDict

VARIANTS = {
    # side, channels, widths, blocks, latent channels, groups, steps, batch, learning rate
    "full": (256, 3, (128, 256, 512, 512), 2, 4, 32, 400_000, 96, 4.5e-6 * 96),
    "digits": (16, 1, (32, 64), 1, 4, 8, 500, 32, 1e-3),
    "tiny": (8, 1, (8, 16), 1, 2, 4, 8, 8, 1e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, widths, blocks, latents, groups, steps, batch, rate = VARIANTS[variant]
    config = ConfigDict({"name": "kl_vae", "seed": 0})
    config.modalities = {
        "image": {
            "_target_": "mmjax.modalities.image:Image",
            "height": side, "width": side, "channels": channels,
        }
    }  # fmt: skip
    config.codecs = {"pixels": {"_target_": "mmjax.codecs.pixels:Pixels"}}
    config.streams = {
        "image": {
            "modality": "image", "codec": "pixels",
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        }
    }  # fmt: skip
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.kl:AutoencoderKL",
            "channels": channels, "widths": widths, "blocks": blocks, "latents": latents,
            "groups": groups,
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.reconstruction:Reconstruction",
        "error": "l1", "divergence": 1e-6,
    }  # fmt: skip
    config.updates = {
        "all": {
            "optimiser": {
                "_target_": "mmjax.training.optimiser:AdamW", "b1": 0.5, "b2": 0.9,
                "schedule": {"peak": rate},
            }
        }
    }  # fmt: skip
    config.data = {
        "train": _source(variant, "train", side),
        "evaluation": _source(variant, "test", side),
        "batch_size": batch,
    }
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def _source(variant: str, split: str, side: int) -> dict:
    if variant == "full":
        return {"_target_": "mmjax.data.folder:Folder", "root": f"data/images/{split}"}
    return {
        "_target_": "mmjax.data.digits:Digits", "split": split, "height": side, "width": side,
    }  # fmt: skip
