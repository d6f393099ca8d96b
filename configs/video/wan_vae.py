"""The causal video autoencoders of Wan: clips to an eighth or a sixteenth of their sides.

Wan Team, "Wan: Open and Advanced Large-Scale Video Generative Models" (2503.20314), section 4.1;
the sizes of Wan 2.1 (126,892,531 parameters, 4x8x8) and Wan 2.2 (704,688,668, 4x16x16).

Command:  mmjax train --config configs/video/wan_vae.py:2.1 --workdir runs/wan_vae
          mmjax weights import DIR --to W reads the published weights
Hardware: the published sizes want eight accelerators; ``tiny`` takes seconds on two CPU cores.
Expected: ``tiny``: 19.3 dB after 800 steps (16.0 dB of the mean clip; `python -m
          benchmarks.codecs learn`); no figure of the published size, which was not trained here.
Data:     ``tiny`` reads the bouncing digits; the others clips of your own in ``data/videos/train``
          and ``data/videos/test`` (--config.data.train.root=...).
Deviates: no perceptual and no adversarial term, and one stage; the published training has an image
          model first and adds a discriminator at the end. ``tiny`` has the squared error.
"""

from ml_collections import ConfigDict

from mmjax.presets import clip_codec

VARIANTS = {
    # width, decoder's, multipliers, blocks, latents, temporal, patch, residual
    "2.1": (96, 96, (1, 2, 4, 4), 2, 16, (False, True, True), 1, False),
    "2.2": (160, 256, (1, 2, 4, 4), 2, 48, (False, True, True), 2, True),
    "tiny": (4, 4, (1, 1), 1, 2, (True,), 4, True),
}


def get_config(variant: str = "2.1") -> ConfigDict:
    """The autoencoder of Wan ``2.1``, of Wan ``2.2``, or ``tiny`` (seconds)."""
    width, decoder_width, multipliers, blocks, latents, temporal, patch, residual = VARIANTS[
        variant
    ]
    network = {
        "_target_": "mmjax.codecs.video.wan:AutoencoderKLWan",
        "width": width, "decoder_width": decoder_width, "multipliers": multipliers,
        "blocks": blocks, "latents": latents, "temporal": temporal, "patch": patch,
        "residual": residual, "clipped": False,
    }  # fmt: skip
    return clip_codec("wan_vae", variant != "tiny", network, fps=16)
