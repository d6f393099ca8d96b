"""VQ-VAE-2's codec: pictures to a small grid of codes over a larger one, and back.

Razavi, van den Oord and Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2"
(1906.00446), section 3.1. ``full`` has the sizes of the public port in PyTorch
(1,388,867 parameters, and two codebooks of 512 entries that follow averages).

Command:  mmjax train --config configs/image/vq_vae2.py:digits --workdir runs/vq_vae2
Hardware: ``digits`` takes minutes on two CPU cores; ``full`` takes one accelerator.
Expected: ``digits``: a mean squared error of 0.017 of pixels in [-1, 1] on training batches after
          500 steps (0.57 after the first 20), with 43 codes of the top and 56 of the bottom in even
          use; protocol: log of the loss.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/images/train`` and ``data/images/test`` (--config.data.train.root=...).
Deviates: the codec alone; configs/image/vq_vae2_prior.py has its hierarchy of priors.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw, picture_data, pictures, two_level_codec

VARIANTS = {
    # side, channels, width, blocks, inner width, numbers quantised, codes, decay, the count below
    # which a code restarts, steps, batch, learning rate
    "full": (256, 3, 128, 2, 32, 64, 512, 0.99, 0.0, 560_000, 128, 3e-4),
    "digits": (16, 1, 32, 1, 16, 8, 64, 0.95, 0.05, 500, 32, 1e-3),
    "tiny": (8, 1, 16, 1, 8, 4, 64, 0.95, 0.05, 8, 8, 6e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The codec of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, width, blocks, inner, size, codes, decay, reset, *rest = VARIANTS[variant]
    steps, batch, rate = rest
    config = pictures("vq_vae2", side, channels)
    config.networks = {
        "autoencoder": two_level_codec(channels, width, blocks, inner, size, codes, decay, reset)
    }
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding",
        "errors": {"l2": {"_target_": "mmjax.objectives.errors:Squared"}},
        "penalties": {"top_commitment": 0.25, "bottom_commitment": 0.25},
    }
    config.updates = adamw({"peak": rate})
    config.data = picture_data(variant == "full", side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
