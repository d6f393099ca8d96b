"""The video autoencoder of LTX-2: clips to one latent of 128 numbers per 8 frames of 32x32 pixels.

HaCohen et al., "LTX-2: Efficient Joint Audio-Visual Foundation Model" (2601.03233); ``full`` has
the published size, 1,222,479,601 parameters.

Command:  mmjax train --config configs/video/ltx2_vae.py:tiny --workdir runs/ltx2_vae
          mmjax weights import DIR --to W reads the published weights
Hardware: ``full`` wants eight accelerators; ``tiny`` takes seconds on two CPU cores.
Expected: ``tiny``: 21.3 dB after 800 steps (16.0 dB of the mean clip; `python -m
          benchmarks.codecs learn`); no figure of the published size, which was not trained here.
Data:     ``tiny`` reads the bouncing digits; ``full`` clips of your own in ``data/videos/train``
          and ``data/videos/test`` (--config.data.train.root=...).
Deviates: L1 and a faint KL penalty alone; the published training has a perceptual and an
          adversarial term as well. ``tiny`` has the squared error.
"""

from ml_collections import ConfigDict

from mmjax.presets import clip_codec

VARIANTS = {
    # latents, widths, blocks, what is halved; decoder's width, what it is divided by, blocks, what
    # is doubled
    "full": (
        (128, (256, 512, 1024, 2048), (4, 6, 6, 2, 2),
        ("spatial", "temporal", "spatiotemporal", "spatiotemporal")),
        (1024, (2, 2, 2), (5, 5, 5, 5), ("spatiotemporal",) * 3),
    ),
    "tiny": ((4, (8,), (1, 0), ("temporal",)), (8, (1,), (0, 1), ("temporal",))),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder of a size: ``full`` or ``tiny`` (seconds)."""
    (latents, widths, blocks, down), decoder = VARIANTS[variant]
    decoder_width, narrowing, decoder_blocks, up = decoder
    network = {
        "_target_": "mmjax.codecs.video.ltx2:AutoencoderKLLTX2Video",
        "latents": latents, "widths": widths, "blocks": blocks, "down": down,
        "decoder_width": decoder_width, "narrowing": narrowing, "decoder_blocks": decoder_blocks,
        "up": up,
    }  # fmt: skip
    return clip_codec("ltx2_vae", variant == "full", network)
