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

from mmjax.presets import picture_data, pictures, reconstruction

VARIANTS = {
    # side, channels, widths, blocks, latent channels, groups, steps, batch, learning rate
    "full": (256, 3, (128, 256, 512, 512), 2, 4, 32, 400_000, 96, 4.5e-6 * 96),
    "digits": (16, 1, (32, 64), 1, 4, 8, 500, 32, 1e-3),
    "tiny": (8, 1, (8, 16), 1, 2, 4, 8, 8, 1e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, widths, blocks, latents, groups, steps, batch, rate = VARIANTS[variant]
    config = pictures("kl_vae", side, channels)
    network = {
        "_target_": "mmjax.codecs.kl:AutoencoderKL",
        "channels": channels, "widths": widths, "blocks": blocks, "latents": latents,
        "groups": groups,
    }  # fmt: skip
    reconstruction(config, network, rate)
    config.data = picture_data(variant == "full", side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
