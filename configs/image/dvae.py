"""DALL-E's discrete VAE: pictures to a grid of codes and back, relaxed while it learns.

Ramesh et al., "Zero-Shot Text-to-Image Generation" (2102.12092), section 2.1 and appendix A:
8,192 codes for 8 x 8 pixels each, Gumbel-softmax whose temperature falls, a divergence from even
codes whose weight rises, pixels under a logit-Laplace distribution. ``full`` has the published
sizes: 53,786,240 parameters of the encoder and 43,829,766 of the decoder.

Command:  mmjax train --config configs/image/dvae.py:digits --workdir runs/dvae
          mmjax sample --workdir runs/dvae --given image=x.png --want image --out samples
Hardware: ``digits`` takes minutes on two CPU cores; the paper trained ``full`` on 64 V100.
Expected: ``digits``: ``-log p`` of -1.62 nats per value on training batches after 220 of 400 steps
          (-0.25 after the first 20), from relaxed codes of which 7 are in even use; protocol: log
          of the loss.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/images/train`` and ``data/images/test`` (--config.data.train.root=...).
Deviates: pictures come as they are, without the paper's random crops; steps of the smaller forms
          are fewer, and they follow no average of parameters.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw, picture_data, pictures

VARIANTS = {
    # side, channels, width, blocks, codes, size; steps over which the divergence's weight rises,
    # over which the temperature falls, and the rate; steps, batch, rate
    "full": (256, 3, 256, 2, 8_192, 128, 5_000, 150_000, 1_200_000, 3_000_000, 512, 1e-4),
    "digits": (32, 1, 16, 1, 64, 16, 100, 200, 400, 400, 32, 2e-3),
    "tiny": (32, 1, 8, 1, 32, 8, 100, 200, 800, 8, 16, 5e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The codec of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, width, blocks, codes, size, *rest = VARIANTS[variant]
    rises, falls, slows, steps, batch, rate = rest
    config = pictures("dvae", side, channels)
    config.codecs["pixels"].update(low=0.1, high=0.9)
    config.streams["image"]["process"] = {
        "_target_": "mmjax.processes.likelihood:Likelihood", "family": "logit_laplace",
    }  # fmt: skip
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.dvae:DVAE",
            "channels": channels, "width": width, "blocks": blocks, "vocabulary": codes,
            "size": size,
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.relaxed:Relaxed",
        "temperature": {"first": 1.0, "last": 1.0 / 16.0, "steps": falls},
        "divergence": {"first": 0.0, "last": 6.6, "steps": rises},
    }
    schedule = {"peak": rate, "decay": "cosine", "steps": slows, "final": 0.0125}
    config.updates = adamw(schedule, weight_decay=1e-4)
    config.data = picture_data(variant == "full", side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    if variant == "full":
        config.train["ema"] = 0.999
    return config
