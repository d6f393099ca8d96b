"""Joint flow over picture and sound: digits that bounce and ring, in any direction.

One transformer restores video and sound together under a caption; a stream at time 0 is a
condition, so the same weights go from text to both, from picture to sound and back. The pieces:
clean-signal prediction with its error unweighted (compare Li & He 2511.13720), shifted logit-normal
times (Esser et al. 2403.03206), independent times per modality (Bao et al. 2303.06555), Muon
(Jordan et al. 2024).

Command:  mmjax train --config configs/quickstart.py:fast --workdir runs/quickstart
Hardware: two CPU cores; ``fast`` takes some minutes, the full form an hour.
Expected: the table of ``mmjax evaluate`` in README.md; protocol: moving average of parameters,
          Euler, held-out handwritings, the detectors' own score on real clips beside every figure.
Data:     made by mmjax.data.bouncing_digits, exact to the sample; nothing is downloaded.
"""

from ml_collections import ConfigDict

from mmjax.data.bouncing_digits.captions import vocabulary
from mmjax.data.bouncing_digits.sound import PITCHES

FRAMES, SIDE, FPS, RATE, HOP = 24, 24, 12.5, 8000, 128
# A struck tone stands out of the noise until very near t = 1, so that is where a model has to
# decide what rings and when: times are moved there, in training and in sampling alike.
SHIFT = 5.0
VARIANTS = {
    # width, depth, heads, patch of the video, steps, batch
    "full": (192, 4, 6, (2, 12, 12), 6_000, 32),
    "fast": (192, 4, 6, (2, 24, 24), 600, 32),
    "tiny": (48, 2, 2, (4, 12, 12), 8, 8),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The joint model of a size: ``full``, ``fast`` (minutes) or ``tiny`` (seconds)."""
    width, depth, heads, patch, steps, batch = VARIANTS[variant]
    samples = int(FRAMES * RATE / FPS)
    config = ConfigDict({"name": "quickstart", "seed": 0})
    config.modalities = {
        "video": {
            "_target_": "mmjax.modalities.video:Video",
            "frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "channels": 1,
        },
        "audio": {
            "_target_": "mmjax.modalities.audio:Audio",
            "samples": samples, "rate": RATE, "channels": 2,
        },
        "text": {"_target_": "mmjax.modalities.text:Text", "length": 16},
    }  # fmt: skip
    config.codecs = {
        "pixels": {"_target_": "mmjax.codecs.pixels:Pixels"},
        "mdct": {"_target_": "mmjax.codecs.mdct:MDCT", "hop": HOP},
        "words": {
            "_target_": "mmjax.codecs.words:Words",
            "length": 16,
            "words": tuple(filter(str.isalnum, vocabulary())),
        },
    }
    flow = {
        "_target_": "mmjax.processes.flow:Flow", "prediction": "clean", "loss_space": "clean",
    }  # fmt: skip
    config.streams = {
        "text": {
            "order": 0, "modality": "text", "codec": "words", "drop_rate": 0.5,
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        },
        "video": {
            "order": 1, "modality": "video", "codec": "pixels", "process": flow,
            "dropped": "noise",
        },
        "audio": {
            "order": 2, "modality": "audio", "codec": "mdct", "process": flow, "dropped": "noise",
        },
    }  # fmt: skip
    axes = {"axes": ("time", "height", "width", "index"), "units": (1 / FPS, 6.0, 6.0, 1.0)}
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads, "qk_norm": True,
            "patch": {"video": patch, "audio": (int(RATE / FPS) // HOP,)},
            "absolute": {"_target_": "mmjax.layers.positions:SinCos", **axes},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary", **axes,
                "dims": (12, 4, 4, 4) if width // heads < 32 else (12, 6, 6, 4), "theta": 100.0,
            },
        }
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.joint:Joint",
        "times": {
            "_target_": "mmjax.processes.times:TimeSampler",
            "distribution": {"_target_": "mmjax.processes.times:LogitNormal", "shift": SHIFT},
            "shared": 0.35, "independent": 0.1,
            "clean": {"video": 0.35, "audio": 0.1}, "prefix": {"video": 0.1},
        },
    }  # fmt: skip
    config.sampler = {
        "_target_": "mmjax.samplers.ode:Euler", "steps": 50 if variant != "tiny" else 2,
        "shift": SHIFT,
        "guidance": {"text": {"scale": 2.0, "drop": ("text",)}},
    }  # fmt: skip
    config.updates = {
        "all": {
            "optimiser": {
                "_target_": "mmjax.training.optimiser:Muon", "adam_ratio": 0.05, "clip": 1.0,
                # Steps of equal size in every direction would keep what is read and written noisy.
                "adam": ("input_", "output_", "condition_"),
                "schedule": {
                    "peak": 0.02, "warmup": min(100, steps // 4), "decay": "cosine",
                    "steps": steps, "final": 0.02,
                },
            }
        }
    }  # fmt: skip
    digits = {"_target_": "mmjax.data.bouncing_digits:BouncingDigits"}
    one = {**digits, "split": "train"}
    config.data = {
        "train": one if variant != "full" else {
            "_target_": "mmjax.data.mixture:Mixture",
            "sources": {"one digit": one, "several": {**one, "digits": (2, 3)}},
            "weights": {"one digit": 4, "several": 1},
        },
        "evaluation": {**digits, "split": "test"},
        "batch_size": batch, "workers": 0,
    }  # fmt: skip
    config.train = {
        "steps": steps, "ema": 0.998 if variant == "full" else 0.99,
        "log_every": 20, "save_every": 500, "preview_every": 2000 if variant == "full" else 0,
    }  # fmt: skip
    metrics = "mmjax.evaluation.metrics"
    config.evaluation = {
        "clips": 200 if variant == "full" else 64, "batch_size": 50 if variant == "full" else 32,
        "tasks": {
            "text_to_both": {"given": ("text",), "want": ("video", "audio")},
            "video_to_audio": {"given": ("video",), "want": ("audio",)},
            "audio_to_video": {"given": ("audio",), "want": ("video",)},
            "image_to_both": {"prefix": ("video",), "want": ("video", "audio")},
        },
        "sets": {
            "two digits": {**digits, "split": "test", "digits": (2, 2)},
            "three digits": {**digits, "split": "test", "digits": (3, 3)},
        },
        "shuffle": ("audio",),
        "columns": (
            "synchrony/f1", "synchrony/offset_ms", "pitch/true", "digit/accuracy", "caption/all",
            "physics/error_px", "detectors/bounces_f1", "detectors/onsets_f1", "loss",
        ),
        "metrics": {
            "synchrony": {"_target_": f"{metrics}.synchrony:Synchrony", "fps": FPS, "rate": RATE},
            "detectors": {"_target_": f"{metrics}.detectors:Detectors", "fps": FPS, "rate": RATE},
            "pitch": {
                "_target_": f"{metrics}.pitch:PitchMatchesDigit", "pitches": PITCHES, "rate": RATE,
            },
            "digit": {"_target_": f"{metrics}.digit:DigitAccuracy"},
            "caption": {"_target_": f"{metrics}.caption:CaptionAgreement"},
            "physics": {"_target_": f"{metrics}.physics:PhysicsError"},
        },
    }  # fmt: skip
    if variant == "tiny":
        config.evaluation.update(clips=8, batch_size=8, previews=1)
    return config
