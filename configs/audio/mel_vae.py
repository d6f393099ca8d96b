"""Autoencoders of log mel spectrograms: AudioLDM's, LTX-2's and MMAudio's.

Liu et al., "AudioLDM" (2301.12503), section 3.2 and the authors' training code; HaCohen et al.,
"LTX-2" (2601.03233); Cheng et al., "MMAudio" (2412.15322), section 3.2. ``audioldm`` is a picture's
autoencoder on 64 bins, 55,376,873 parameters; ``ltx2`` a causal one for stereo, 53,248,146;
``mmaudio`` one over time with bins as channels, 305,479,682 at 44.1 kHz and, ``mmaudio_16k``,
171,657,218 at 16 kHz. Their critic of patches has 2,763,585, for stereo 2,764,609.

Command:  mmjax train --config configs/audio/mel_vae.py:tiny --workdir runs/mel_vae
Hardware: ``tiny`` takes seconds a hundred steps on two CPU cores; the others want eight
          accelerators.
Expected: ``tiny``: log mels 0.37 decades off on held-out sounds after 400 steps (0.70 for the
          mean spectrum), through a guess of the phases, a spectral convergence of 0.88 (0.98); the
          others were not trained; protocol: benchmarks/codecs.py.
Data:     ``tiny`` hears the bouncing digits; the others sounds of your own in ``data/sounds/train``
          and ``data/sounds/test`` (--config.data.train.root=...), of each its first 8 to 10 s.
Deviates: all have AudioLDM's losses, for those of LTX-2 and MMAudio are not published; AudioLDM's
          has a learned scale of the error, here 1. ``tiny`` heeds its critic less.
"""

from ml_collections import ConfigDict

from mmjax.presets import players, sound_data, sounds

VARIANTS = {
    # samples, rate, channels; window, hop, bins, mean and deviation of the logarithms; the network
    # and its fields, its last kernel; numbers of latents per example
    "audioldm": (
        (163_840, 16_000, 1), (1024, 160, 64, 0.0, 1.0),
        ("mmjax.codecs.kl:AutoencoderKL", {"channels": 1, "widths": (128, 256, 512), "latents": 8}),
        "decoder/conv_out/kernel", 256 * 16 * 8,
    ),
    "ltx2": (
        (164_000, 16_000, 2), (1024, 160, 64, 0.0, 1.0),
        ("mmjax.codecs.audio.ltx2:AutoencoderKLLTX2Audio", {"channels": 2, "bins": 64}),
        "decoder/conv_out/conv/kernel", 257 * 16 * 8,
    ),
    "mmaudio": (
        (353_280, 44_100, 1), (2048, 512, 128, 0.0, 1.0),
        ("mmjax.codecs.audio.mmaudio:MagnitudeAutoencoder", {"bins": 128, "latents": 40}),
        "decoder/conv_out/kernel", 345 * 40,
    ),
    "mmaudio_16k": (
        (128_000, 16_000, 1), (1024, 256, 80, 0.0, 1.0),
        (
            "mmjax.codecs.audio.mmaudio:MagnitudeAutoencoder",
            {"bins": 80, "widths": (384, 768, 1536), "latents": 20},
        ),
        "decoder/conv_out/kernel", 250 * 20,
    ),
    "tiny": (
        (8320, 8000, 2), (256, 80, 32, -8.0, 3.0),
        (
            "mmjax.codecs.kl:AutoencoderKL",
            {"channels": 2, "widths": (8, 16), "blocks": 1, "latents": 4, "groups": 4},
        ),
        "decoder/conv_out/kernel", 52 * 16 * 4,
    ),
}  # fmt: skip
# The critic's weight, width, halvings and first step; steps, batch, learning rate, steps of its
# decay.
TRAINING = {
    "full": (0.5, 64, 3, 50_001, 800_000, 32, 6.4e-5, 0),
    "tiny": (0.1, 8, 1, 4, 8, 8, 2e-3, 400),
}


def get_config(variant: str = "audioldm") -> ConfigDict:
    """One of ``audioldm``, ``ltx2``, ``mmaudio``, ``mmaudio_16k`` and ``tiny`` (seconds)."""
    sound, (window, hop, bins, mean, deviation), (target, fields), last, latents = VARIANTS[variant]
    kind = "tiny" if variant == "tiny" else "full"
    weight, width, halvings, starts, steps, batch, rate, decay = TRAINING[kind]
    config = sounds("mel_vae", *sound)
    config.codecs = {
        "mel": {
            "_target_": "mmjax.codecs.audio.spectrogram:LogMel",
            "rate": sound[1], "window": window, "hop": hop, "bins": bins, "mean": mean,
            "deviation": deviation,
        }
    }  # fmt: skip
    config.streams.audio.codec = "mel"
    config.networks = {
        "autoencoder": {"_target_": target, **fields},
        "discriminator": {
            "_target_": "mmjax.models.patch_gan:PatchDiscriminator",
            "width": width, "halvings": halvings,
        },
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "stream": "audio",
        "critic": {"weight": weight, "starts": starts, "last": last},
        # Published: a thousand times the mean over latents, beside a sum over the spectrogram.
        "penalties": {"divergence": 1000.0 / latents},
    }  # fmt: skip
    config.updates = players(rate, decay=decay, b1=0.5, b2=0.9)
    config.data = sound_data(kind == "full", batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
