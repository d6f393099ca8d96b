"""The Descript audio codec: sound to nine codes a step and back, judged by two kinds of critics.

Kumar et al., "High-Fidelity Audio Compression with Improved RVQGAN" (2306.06546), section 3.
``full`` is the codec at 44.1 kHz, 76,620,777 parameters, with critics of periods, 41,105,770, and
of bands of spectrograms, 1,413,990.

Command:  mmjax train --config configs/audio/dac.py:tiny --workdir runs/dac
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; ``full`` wants eight
          accelerators.
Expected: ``tiny``: a spectral convergence of 0.51 on held-out sounds after 800 steps (the mean
          spectrum has 0.98), log mels 0.55 decades off (0.80), 12 of 64 codes in use by perplexity;
          ``full`` was not trained; protocol: benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; ``full`` sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.source.root=...), of each its first 0.38 s;
          all are brought to -16 LUFS.
Deviates: the codec's kernels are not factored; the learning rate of ``full`` does not decay, and
          phases are not shifted at random. ``tiny`` compares samples too, and squares of
          logarithms, and heeds critics less, to learn within some hundred steps.
"""

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

# Silence, the digits' median, is a plateau of the absolute error of logarithms.
SQUARED = {"magnitudes": True, "offset": 1e-3}
VARIANTS = {
    # samples, rate, channels; encoder's and decoder's widths, ratios, levels, vocabulary, size;
    # windows of the mel spectrograms, bins, their fields; weights of samples, mels, features, each
    # judge, commitment and codebook (tiny's are small, for plain descent bears no more);
    # both kinds of critics; steps, batch, rate, steps of its decay
    "full": (
        (16_896, 44_100, 1),
        ((64, 128, 256, 512, 1024), (96, 192, 384, 768, 1536), (2, 4, 8, 8), 9, 1024, 8),
        ((32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320), {}),
        (0.0, 15.0, 2.0, 1.0, 0.25, 1.0),
        {"periods": (2, 3, 5, 7, 11), "widths": (32, 128, 512, 1024, 1024)},
        {
            "windows": (2048, 1024, 512), "width": 32, "dilations": (1, 1, 1),
            "edges": (0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
        },
        400_000, 72, 1e-4, 0,
    ),
    "tiny": (
        (8320, 8000, 2), ((8, 16), (8, 16), (8,), 4, 64, 4), ((64, 512), (5, 40), SQUARED),
        (4.0, 0.15, 0.01, 0.002, 0.005, 0.02), {"periods": (2,), "widths": (4, 8)},
        {"windows": (256,), "width": 4, "dilations": (1,)}, 8, 8, 3e-3, 800,
    ),
}  # fmt: skip


def get_config(variant: str = "full") -> ConfigDict:
    """The codec and its critics: ``full``, or ``tiny`` on the sound of bouncing digits."""
    sound, codec, (windows, bins, mels), weights, *rest = VARIANTS[variant]
    periods, spectra, steps, batch, rate, decay = rest
    samples, mel, features, judge, commitment, codebook = weights
    encoder, decoder, ratios, levels, vocabulary, size = codec
    judges = len(periods["periods"]) + len(spectra["windows"])
    config = sounds("dac", *sound)
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.audio.dac:Dac",
            "channels": sound[2], "encoder_widths": encoder, "decoder_widths": decoder,
            "ratios": ratios, "levels": levels, "vocabulary": vocabulary, "size": size,
        },
        "discriminator": _critics(periods, spectra),
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "audio",
        "errors": {
            "mel": {
                "_target_": "mmjax.codecs.audio.distances:MultiScaleMel", "rate": sound[1],
                "windows": windows, "bins": bins, "weight": mel, **mels,
            },
            "features": {
                "_target_": "mmjax.objectives.features:FeatureMatching", "weight": features,
            },
        },
        # The published losses are sums over judges, here a mean.
        "critic": {"loss": "least_squares", "weight": judge * judges},
        "penalties": {"commitment": commitment, "codebook": codebook},
    }  # fmt: skip
    if samples:
        waveform = {"_target_": "mmjax.objectives.errors:Absolute", "weight": samples}
        config.objective.errors.waveform = waveform
    config.updates = players(rate, decay=decay, b1=0.8, b2=0.99)
    config.data = sound_data(variant == "full", batch, levelled=True)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def _critics(periods: dict, spectra: dict) -> dict:
    folder = "mmjax.models.sound_critics"
    return {
        "_target_": f"{folder}:Critics", "levelled": True,
        "parts": {
            "periods": {"_target_": f"{folder}:MultiPeriod", **periods},
            "spectra": {
                "_target_": f"{folder}:MultiSpectrogram", **spectra, "slope": 0.1, "even": False,
            },
        },
    }  # fmt: skip
