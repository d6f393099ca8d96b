"""EnCodec: sound to a few rows of codes a step and back, judged by critics of spectrograms.

Defossez et al., "High Fidelity Neural Audio Compression" (2210.13438), section 3. ``full`` is the
causal codec at 24 kHz, 14,851,810 parameters, and its critics, 472,490; ``48khz`` the one for
stereo in segments of equal loudness, 14,856,294 parameters, and its critics, 481,130.

Command:  mmjax train --config configs/audio/encodec.py:tiny --workdir runs/encodec
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; ``full`` wants eight
          accelerators.
Expected: ``tiny``: a spectral convergence of 0.49 on held-out sounds after 1200 steps (the mean
          spectrum has 0.98), log mels 0.52 decades off (0.70); the others were not trained;
          protocol: benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; ``full`` sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.root=...), of each its first second
          (``48khz``: 0.99 s, which is one segment).
Deviates: the discriminator learns at every step, not at two of three; hinge losses, and powers and
          logarithms of mels, as in the public code; half of the examples lose levels, by any number
          and each by its own. ``tiny`` heeds samples and mels more and critics less, also quieter
          mels, and its learning rate falls.
"""

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

OCTAVES = (32, 64, 128, 256, 512, 1024, 2048)
VARIANTS = {
    # samples, rate, channels; filters, ratios, memories, features, levels, vocabulary, reset;
    # windows of the mel spectrograms, bins, floor of powers; shares of the gradient for samples,
    # mels and what critics say; their windows, width, dilations; steps, batch, rate, steps of its
    # decay.
    # In some hundred steps critics teach little, and much of the digits' sound is silence.
    "full": (
        (24_000, 24_000, 1), (32, (2, 4, 5, 8), 2, 128, 32, 1024, 2.0), (OCTAVES, (64,) * 7, 1e-5),
        (0.1, 1.0, 3.0), ((2048, 1024, 512, 256, 128), 32, (1, 2, 4)), 600_000, 64, 3e-4, 0,
    ),
    "48khz": (
        (47_360, 48_000, 2), (32, (2, 4, 5, 8), 2, 128, 16, 1024, 2.0), (OCTAVES, (64,) * 7, 1e-5),
        (0.1, 1.0, 3.0), ((2048, 1024, 512, 256, 128), 32, (1, 2, 4)), 600_000, 64, 3e-4, 0,
    ),
    "tiny": (
        (8320, 8000, 2), (8, (32,), 1, 16, 8, 64, 2.0), ((64, 256, 1024), (10, 20, 40), 1e-9),
        (0.3, 2.0, 0.01), ((256,), 4, (2,)), 8, 8, 3e-3, 1200,
    ),
}  # fmt: skip
SEGMENTS = {
    "48khz": {"causal": False, "norm": "group", "seconds": 1.0, "overlap": 0.01, "even": True}
}


def get_config(variant: str = "full") -> ConfigDict:
    """The codec and its critics: ``full``, ``48khz``, or ``tiny`` for bouncing digits' sound."""
    sound, codec, (windows, bins, floor), shares, critics, *rest = VARIANTS[variant]
    samples, mels, judged = shares
    filters, ratios, memories, features, levels, vocabulary, reset = codec
    steps, batch, rate, decay = rest
    config = sounds("encodec", *sound)
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.audio.encodec:Encodec",
            "rate": sound[1], "channels": sound[2], "filters": filters, "ratios": ratios,
            "memories": memories, "features": features, "levels": levels,
            "vocabulary": vocabulary, "dropout": 0.5, "reset": reset, **SEGMENTS.get(variant, {}),
        },
        "discriminator": {
            "_target_": "mmjax.models.sound_critics:MultiSpectrogram",
            "windows": critics[0], "width": critics[1], "dilations": critics[2],
        },
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.balance:BalancedCoding", "stream": "audio",
        "errors": {
            "waveform": {"_target_": "mmjax.objectives.errors:Absolute", "weight": samples},
            "mel": {
                "_target_": "mmjax.codecs.audio.distances:MultiScaleMelPower", "rate": sound[1],
                "windows": windows, "bins": bins, "floor": floor, "weight": mels,
            },
            "features": {
                "_target_": "mmjax.objectives.features:FeatureMatching",
                "relative": True, "weight": judged,
            },
        },
        "critic": {"weight": judged}, "penalties": {"commitment": 1.0},
    }  # fmt: skip
    config.updates = players(rate, decay=decay, b1=0.5, b2=0.9)
    config.data = sound_data(variant != "tiny", batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
