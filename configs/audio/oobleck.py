"""Stable Audio's autoencoder: sound to a slow sequence of normal latents, judged by spectrograms.

Evans et al., "Stable Audio Open" (2407.14358), section 3.1, with the losses and weights of the
authors' configuration ``stable_audio_2_0_vae``. ``full`` is the autoencoder for stereo at 44.1 kHz,
156,112,514 parameters, and its critics, 1,883,850.

Command:  mmjax train --config configs/audio/oobleck.py:tiny --workdir runs/oobleck
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; ``full`` wants eight
          accelerators.
Expected: ``tiny``: a spectral convergence of 0.64 on held-out sounds after 400 steps (the mean
          spectrum has 0.98), log mels 0.43 decades off (0.70); ``full`` was not trained; protocol:
          benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; ``full`` sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.root=...), of each its first 1.49 s.
Deviates: spectra are not weighted by how well a frequency is heard, and both channels are compared
          by their sum and difference alone, not by themselves too; the learning rate of ``full``
          does not decay; size of batch and number of steps are not published. ``tiny`` heeds
          critics less.
"""

import math

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

VARIANTS = {
    # samples, rate, channels; encoder's and decoder's widths, ratios, latents; windows of the
    # spectra, the least amplitude in their first term (the authors leave out what is quieter),
    # what magnitudes have added in their other; weights of features and of the critics' judgement,
    # their windows, width, dilations; steps, batch, rate, steps of its decay. Of the digits' sounds
    # much is silence, whose slopes would be all there is; critics teach little in so few steps.
    "full": (
        (65_536, 44_100, 2), ((128, 128, 256, 512, 1024, 2048),) * 2, (2, 4, 4, 8, 8), 64,
        (2048, 1024, 512, 256, 128, 64, 32), (1e-3, 0.0),
        (5.0, 0.1), ((2048, 1024, 512, 256, 128), 64, (1, 2, 4)),
        1_000_000, 64, 1.5e-4, 0,
    ),
    "tiny": (
        (8320, 8000, 2), ((8, 16),) * 2, (32,), 4, (512, 64), (0.03, 0.1),
        (1.5, 0.03), ((128,), 4, (2,)), 8, 8, 2e-3, 400,
    ),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The autoencoder and its critics: ``full``, or ``tiny`` on the sound of bouncing digits."""
    sound, (encoder, decoder), ratios, latents, windows, *rest = VARIANTS[variant]
    (quietest, offset), (features, judged), critics, steps, batch, rate, decay = rest
    config = sounds("oobleck", *sound)
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.audio.oobleck:Oobleck",
            "channels": sound[2], "encoder_widths": encoder, "decoder_widths": decoder,
            "ratios": ratios, "latents": latents,
        },
        "discriminator": {
            "_target_": "mmjax.models.sound_critics:MultiSpectrogram",
            "windows": critics[0], "width": critics[1], "dilations": critics[2],
        },
    }  # fmt: skip
    layers = len(critics[0]) * (len(critics[2]) + 2)
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "audio",
        # The published losses are means over windows and layers, here sums.
        "errors": {
            "spectra": {
                "_target_": "mmjax.codecs.audio.distances:MultiScaleStft",
                "windows": windows, "weight": 1.0 / len(windows), "quietest": quietest,
                "offset": offset,
            },
            "features": {
                "_target_": "mmjax.objectives.features:FeatureMatching",
                "weight": features / layers,
            },
        },
        "critic": {"weight": judged},
        # Published: 1e-4 times twice the nats of each step of the latents.
        "penalties": {"divergence": 1e-4 * 2 * math.prod(ratios) * sound[2]},
    }  # fmt: skip
    config.updates = players((rate, 2 * rate), decay=decay, b1=0.8, b2=0.99, weight_decay=1e-3)
    config.data = sound_data(variant == "full", batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
