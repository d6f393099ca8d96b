"""The continuous video tokenizer of Cosmos: clips to one latent of 16 numbers per 8x8x8 pixels.

NVIDIA, "Cosmos World Foundation Model Platform for Physical AI" (2501.03575), section 4; ``full``
has the published size, 105,653,696 parameters.

Command:  mmjax train --config configs/video/cosmos_vae.py:tiny --workdir runs/cosmos_vae
          mmjax weights import DIR --to W reads the published weights
Hardware: ``full`` wants eight accelerators; ``tiny`` takes seconds on two CPU cores.
Expected: ``tiny``: 19.4 dB after 800 steps (16.0 dB of the mean clip; `python -m
          benchmarks.codecs learn`); no figure of the published size, which was not trained here.
Data:     ``tiny`` reads the bouncing digits; ``full`` clips of your own in ``data/videos/train``
          and ``data/videos/test`` (--config.data.train.root=...).
Deviates: L1 alone; the published training adds a perceptual term, and at its end terms of optical
          flow and of Gram matrices and an adversarial one. ``tiny`` has the squared error.
"""

from ml_collections import ConfigDict

from mmjax.presets import clip_codec

VARIANTS = {
    # widths, decoder's, blocks, latents, frames and side per latent, wavelet. ``tiny`` has no
    # wavelets: untrained, they spread pixels so far that rounding decides on which side of the
    # target many are, and with it on their gradient.
    "full": ((128, 256, 512, 512), (256, 512, 512, 512), 2, 16, 8, 8, True),
    "tiny": ((8, 8), (8, 8), 0, 4, 4, 4, False),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The tokenizer of a size: ``full`` or ``tiny`` (seconds)."""
    widths, decoder_widths, blocks, latents, time, cell, wavelet = VARIANTS[variant]
    network = {
        "_target_": "mmjax.codecs.video.cosmos:AutoencoderKLCosmos",
        "widths": widths, "decoder_widths": decoder_widths, "blocks": blocks, "latents": latents,
        "time": time, "side": cell, "wavelet": wavelet,
    }  # fmt: skip
    return clip_codec("cosmos_vae", variant == "full", network)
