"""The temporal decoder: latents of an image autoencoder, frame by frame, to clips without flicker.

Blattmann et al., "Align Your Latents" (2304.08818), section 3.1.1; the decoder is that of Stable
Video Diffusion (2311.15127). The encoder is the image autoencoder's and stays as it is. ``full``
has the published size, 97,742,847 parameters, of which the decoder's train.

Command:  mmjax weights import DIR --to data/svd_vae, with DIR the folder ``vae`` of the published
          weights, then
          mmjax train --config configs/video/temporal_decoder.py --workdir runs/temporal_decoder
Hardware: ``full`` wants eight accelerators; ``tiny`` takes seconds on two CPU cores.
Expected: ``tiny``: 18.6 dB after 400 steps (16.0 dB of the mean clip; `python -m
          benchmarks.codecs learn`); no figure of the published size, which was not trained here.
Data:     ``tiny`` reads the bouncing digits; ``full`` clips of your own in ``data/videos/train``
          and ``data/videos/test`` (--config.data.train.root=...), and the weights in
          ``data/svd_vae``, of which it takes the encoder; that of ``tiny`` is untrained.
Deviates: L1 alone; the published training has a perceptual term and a critic of patches in space
          and time. The decoder begins anew, the published one as the image autoencoder's with
          layers along time between. ``tiny`` has the squared error.
"""

from ml_collections import ConfigDict

from mmjax.presets import clip_codec

VARIANTS = {
    # widths, blocks, latents, groups
    "full": ((128, 256, 512, 512), 2, 4, 32),
    "tiny": ((4, 8), 0, 2, 2),
}
DECODER = "autoencoder/decoder/.*"


def get_config(variant: str = "full") -> ConfigDict:
    """The decoder of a size: ``full`` or ``tiny`` (seconds)."""
    widths, blocks, latents, groups = VARIANTS[variant]
    network = {
        "_target_": "mmjax.codecs.video.temporal_decoder:AutoencoderKLTemporalDecoder",
        "widths": widths, "blocks": blocks, "latents": latents, "groups": groups,
    }  # fmt: skip
    config = clip_codec("temporal_decoder", variant == "full", network)
    config.objective.penalties = {"divergence": 0.0}  # the encoder's, which does not learn
    config.updates["all"]["params"] = DECODER
    if variant == "full":
        config.init = {
            "folder": "data/svd_vae", "paths": {"autoencoder": "module"}, "fresh": DECODER,
            "unused": "module/.*",
        }  # fmt: skip
    return config
