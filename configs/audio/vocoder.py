"""Vocoders: log mel spectrograms to sound, judged by critics of periods and of another kind.

Kong et al., "HiFi-GAN" (2010.05646); Lee et al., "BigVGAN" (2206.04658), version 2 of the authors'
code. ``hifi_gan`` is V1 at 22.05 kHz, 13,926,017 parameters, with critics of periods, 41,105,770,
and of scales, 29,622,918; ``bigvgan`` is the one at 44.1 kHz with 128 bins, 122,152,752, with
critics of periods and of bands of spectrograms, 1,413,990.

Command:  mmjax train --config configs/audio/vocoder.py:tiny --workdir runs/vocoder
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; the others want eight
          accelerators.
Expected: ``tiny``: a spectral convergence of 0.85 on held-out sounds after 400 steps (the mean
          spectrum has 0.98), log mels 0.52 decades off (0.70); the published sizes were not
          trained; protocol: benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; the others sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.root=...), of each its first 0.37 or 1.49 s.
Deviates: the generators' kernels are not factored; logits are no features to match; the learning
          rate of the published ones does not decay. ``hifi_gan`` hears frequencies above 8 kHz
          too, and no judge is normalised by its spectrum. ``bigvgan`` has the critic of bands that
          the authors' code offers, not the one of constant-Q transforms that its weights were
          trained with, and its critic of periods hears a levelled sound too. ``tiny`` compares
          squares of logarithms.
"""

import math

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

AUDIO, CRITICS = "mmjax.codecs.audio", "mmjax.models.sound_critics"
PERIODS = {"periods": (2, 3, 5, 7, 11), "widths": (32, 128, 512, 1024, 1024)}
BANDS = {
    "windows": (2048, 1024, 512), "width": 32, "dilations": (1, 1, 1),
    "edges": (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), "slope": 0.1, "even": False,
}  # fmt: skip
VARIANTS = {
    # samples, rate, channels; window, hop, bins, fields of the spectrogram; the generator and its
    # fields; windows and bins of the mel error, its weight, its fields (silence, the digits'
    # median, is a plateau of the absolute error of logarithms); weights of features and of each
    # judge; critics of periods; the others, how many judges they are; steps, batch, rate, steps of
    # its decay
    "hifi_gan": (
        (8192, 22_050, 1), (1024, 256, 80, {}),
        (
            f"{AUDIO}.hifi_gan:HifiGan",
            {"rates": (8, 8, 2, 2), "kernels": (16, 16, 4, 4), "standardised": False},
        ),
        ((1024,), (80,), 45.0 * math.log(10), {}), (2.0, 1.0), PERIODS, ("MultiScale", {}, 3),
        2_500_000, 16, 2e-4, 0,
    ),
    "bigvgan": (
        (65_536, 44_100, 1), (2048, 512, 128, {}), (f"{AUDIO}.bigvgan:BigVgan", {"bins": 128}),
        ((32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320), 15.0, {}), (2.0, 1.0),
        PERIODS, ("MultiSpectrogram", BANDS, 3), 5_000_000, 32, 1e-4, 0,
    ),
    "tiny": (
        (8320, 8000, 2), (256, 32, 32, {"mean": -8.0, "deviation": 3.0}),
        (
            f"{AUDIO}.hifi_gan:HifiGan",
            {
                "bins": 32, "channels": 2, "widths": (32, 16), "rates": (32,), "kernels": (64,),
                "block_kernels": (3,), "dilations": ((1, 3),), "standardised": False,
            },
        ),
        ((64, 512), (10, 40), 5.0, {"magnitudes": True, "offset": 3e-3}), (0.5, 0.1),
        {"periods": (2,), "widths": (4, 8)},
        ("MultiScale", {"scales": 1, "layers": ((4, 15, 1, 1), (8, 41, 4, 2))}, 1), 8, 8, 4e-3, 400,
    ),
}  # fmt: skip


def get_config(variant: str = "hifi_gan") -> ConfigDict:
    """A vocoder and its critics: ``hifi_gan``, ``bigvgan``, or ``tiny`` on bouncing digits."""
    sound, spectrogram, (target, fields), mel, (features, judge), *rest = VARIANTS[variant]
    periods, others, steps, batch, rate, decay = rest
    window, hop, bins, scale = spectrogram
    config = sounds("vocoder", *sound)
    config.networks = {
        "autoencoder": {
            "_target_": f"{AUDIO}.vocoder:Vocoder",
            "mel": {
                "_target_": f"{AUDIO}.spectrogram:LogMel",
                "rate": sound[1], "window": window, "hop": hop, "bins": bins, **scale,
            },
            "generator": {"_target_": target, **fields},
        },
        "discriminator": _critics(periods, *others[:2], levelled=others[0] == "MultiSpectrogram"),
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "audio",
        "errors": {
            "mel": {
                "_target_": f"{AUDIO}.distances:MultiScaleMel",
                "rate": sound[1], "windows": mel[0], "bins": mel[1], "weight": mel[2],
                **mel[3],
            },
            "features": {
                "_target_": "mmjax.objectives.features:FeatureMatching", "weight": features,
            },
        },
        # The published losses are sums over judges, here a mean.
        "critic": {
            "loss": "least_squares", "weight": judge * (len(periods["periods"]) + others[2]),
        },
        "penalties": {},
    }  # fmt: skip
    config.updates = players(rate, decay=decay, b1=0.8, b2=0.99, weight_decay=0.01)
    config.data = sound_data(variant != "tiny", batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def _critics(periods: dict, kind: str, fields: dict, levelled: bool) -> dict:
    return {
        "_target_": f"{CRITICS}:Critics", "levelled": levelled,
        "parts": {
            "others": {"_target_": f"{CRITICS}:{kind}", **fields},
            "periods": {"_target_": f"{CRITICS}:MultiPeriod", **periods},
        },
    }  # fmt: skip
