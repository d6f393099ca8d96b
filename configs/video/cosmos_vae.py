"""The continuous video tokenizer of Cosmos: clips to one latent of 16 numbers per 8x8x8 pixels.

NVIDIA, "Cosmos World Foundation Model Platform for Physical AI" (2501.03575), section 4; ``full``
has the published size, 105,653,696 parameters.

Command:  mmjax train --config configs/video/cosmos_vae.py:tiny --workdir runs/cosmos_vae
          mmjax weights import DIR --to W reads the published weights
Hardware: ``full`` wants eight accelerators; ``tiny`` takes seconds on two CPU cores.
Expected: no figure yet: the published size was not trained here, ``tiny`` is for tests.
Data:     ``tiny`` reads the bouncing digits; ``full`` clips of your own in ``data/videos/train``
          and ``data/videos/test`` (--config.data.train.root=...).
Deviates: L1 alone; the published training adds a perceptual term, and at its end terms of optical
          flow and of Gram matrices and an adversarial one.
"""

from ml_collections import ConfigDict

from mmjax.presets import clip_data, clips, reconstruction

VARIANTS = {
    # frames, side, frames per second, channels; widths, decoder's, blocks, latents, frames and
    # side per latent, wavelet; steps, batch, learning rate. ``tiny`` has no wavelets: untrained,
    # they spread pixels so far that rounding decides on which side of the target many are, and with
    # it on their gradient.
    "full": (
        (17, 256, 24, 3), ((128, 256, 512, 512), (256, 512, 512, 512), 2, 16, 8, 8, True),
        (400_000, 32, 1e-4),
    ),
    "tiny": ((13, 24, 12.5, 1), ((8, 8), (8, 8), 0, 4, 4, 4, False), (8, 8, 2e-3)),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The tokenizer of a size: ``full`` or ``tiny`` (seconds)."""
    (frames, side, fps, channels), shape, (steps, batch, rate) = VARIANTS[variant]
    config = clips("cosmos_vae", frames, side, fps, channels)
    widths, decoder_widths, blocks, latents, time, cell, wavelet = shape
    network = {
        "_target_": "mmjax.codecs.video.cosmos:AutoencoderKLCosmos",
        "channels": channels, "widths": widths, "decoder_widths": decoder_widths,
        "blocks": blocks, "latents": latents, "time": time, "side": cell,
        "wavelet": wavelet,
    }  # fmt: skip
    reconstruction(config, network, rate, b1=0.9, b2=0.99)
    config.data = clip_data(variant == "full", frames, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
