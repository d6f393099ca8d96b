"""The deep compression autoencoder: 32 pixels a side to one latent of 32 numbers, and back.

Chen et al., "Deep Compression Autoencoder for Efficient High-Resolution Diffusion Models"
(2410.10733). ``full`` is the f32c32 autoencoder of SANA, 312,250,275 parameters.

Command:  mmjax train --config configs/image/dc_ae.py:digits --workdir runs/dc_ae
Hardware: ``digits`` takes minutes on two CPU cores; ``full`` wants eight accelerators.
Expected: ``digits``: a mean absolute error of 0.049 of pixels in [-1, 1] on training batches after
          500 steps (0.305 after the first 20); protocol: log of the loss.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/images/train`` and ``data/images/test`` (--config.data.train.root=...).
Deviates: one phase with L1 alone; the published training adds a perceptual term, and two phases at
          a high resolution and with an adversarial term (section 3.3).
"""

from ml_collections import ConfigDict

from mmjax.presets import picture_data, pictures, reconstruction

VARIANTS = {
    # side, channels, widths, encoder and decoder blocks, attending levels, head, latents, steps,
    # batch, learning rate
    "full": (
        256, 3, (128, 256, 512, 512, 1024, 1024), (2, 2, 2, 3, 3, 3), (3, 3, 3, 3, 3, 3),
        (3, 4, 5), 32, 32, 400_000, 96, 6.4e-5,
    ),
    "digits": (16, 1, (32, 64, 64), (1, 1, 1), (1, 1, 1), (2,), 16, 16, 500, 32, 1e-3),
    "tiny": (8, 1, (8, 16), (1, 1), (1, 1), (1,), 4, 2, 8, 8, 1e-3),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, widths, encoder, decoder, attention, head, latents, *rest = VARIANTS[variant]
    steps, batch, rate = rest
    config = pictures("dc_ae", side, channels)
    network = {
        "_target_": "mmjax.codecs.dc:AutoencoderDC",
        "channels": channels, "widths": widths, "encoder_blocks": encoder,
        "decoder_blocks": decoder, "attention": attention, "head": head, "latents": latents,
    }  # fmt: skip
    reconstruction(config, network, rate)
    config.data = picture_data(variant == "full", side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
