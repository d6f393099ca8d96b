"""Mimi, Moshi's codec: speech to 12.5 rows of codes a second, learned from critics alone.

Defossez et al., "Moshi: a speech-text foundation model for real-time dialogue" (2410.00037),
section 3.3. ``full`` is the causal codec at 24 kHz with 32 levels, 79,308,609 parameters, and its
critics, 472,490.

Command:  mmjax train --config configs/audio/mimi.py:tiny --workdir runs/mimi
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; ``full`` wants eight
          accelerators.
Expected: ``tiny``: a spectral convergence of 0.56 on held-out sounds after 1200 steps (the mean
          spectrum has 0.98), log mels 0.49 decades off (0.70); ``full`` was not trained; protocol:
          benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; ``full`` sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.root=...), of each its first 12 s.
Deviates: WavLM does not teach the first level; no decay of the transformers' matrices. ``tiny``
          compares samples and mels too, as the first of the paper's codecs does, for critics alone
          teach nothing in so few steps, and of ten examples one goes on unquantised, not five.
"""

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

VARIANTS = {
    # samples, rate, channels; filters, ratios, features, depth, heads, hidden, window;
    # levels, vocabulary, size, bypass; windows of the mel spectrograms, bins; the critics' share of
    # the gradient, windows, width, dilations; steps, batch, rate, steps of its decay
    "full": (
        (288_000, 24_000, 1), (64, (4, 5, 6, 8), 512, 8, 8, 2048, 250), (32, 2048, 256, 0.5),
        ((), ()),
        (4.0, (2048, 1024, 512, 256, 128), 32, (1, 2, 4)), 4_000_000, 128, 8e-4, 0,
    ),
    "tiny": (
        (8320, 8000, 2), (8, (16,), 16, 1, 2, 16, 8), (8, 64, 8, 0.1),
        ((64, 256, 1024), (10, 20, 40)), (0.01, (256,), 4, (2,)), 8, 8, 3e-3, 1200,
    ),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The codec and its critics: ``full``, or ``tiny`` on the sound of bouncing digits."""
    sound, shape, (levels, vocabulary, size, bypass), mels, critics, *rest = VARIANTS[variant]
    filters, ratios, features, depth, heads, hidden, window = shape
    (judged, *critics), (steps, batch, rate, decay) = critics, rest
    config = sounds("mimi", *sound)
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.audio.mimi:Mimi",
            "rate": sound[1], "channels": sound[2], "filters": filters, "ratios": ratios,
            "features": features, "depth": depth, "heads": heads, "hidden": hidden,
            "window": window, "levels": levels, "vocabulary": vocabulary, "size": size,
            "dropout": 0.5, "bypass": bypass, "reset": 2.0,
        },
        "discriminator": {
            "_target_": "mmjax.models.sound_critics:MultiSpectrogram",
            "windows": critics[0], "width": critics[1], "dilations": critics[2],
        },
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.balance:BalancedCoding", "stream": "audio",
        "errors": _errors(judged, sound[1], *mels), "critic": {"weight": judged},
        "penalties": {"commitment": 1.0},
    }  # fmt: skip
    config.updates = players(rate, decay=decay, b1=0.5, b2=0.9)
    config.data = sound_data(variant == "full", batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500, "ema": 0.99}
    return config


def _errors(judged: float, rate: int, windows: tuple[int, ...], bins: tuple[int, ...]) -> dict:
    """Features of the critics; with windows, samples and mel spectrograms too."""
    errors = {
        "features": {
            "_target_": "mmjax.objectives.features:FeatureMatching", "relative": True,
            "weight": judged,
        }
    }  # fmt: skip
    if windows:
        errors["waveform"] = {"_target_": "mmjax.objectives.errors:Absolute", "weight": 0.3}
        errors["mel"] = {
            "_target_": "mmjax.codecs.audio.distances:MultiScaleMelPower", "rate": rate,
            "windows": windows, "bins": bins, "weight": 2.0,
            "floor": 1e-8,  # much of the digits' sound is silence
        }  # fmt: skip
    return errors
