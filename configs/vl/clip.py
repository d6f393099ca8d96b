"""Contrastive language-image pretraining: pictures and captions in one space.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
(2103.00020), section 2 and table 20. ``B/32`` has 151,277,313 parameters, ``B/16`` 149,620,737,
``L/14`` 427,616,513; their public weights load (see mmjax.interop.clip).

Command:  mmjax train --config configs/vl/clip.py:digits --workdir runs/clip
Hardware: ``digits`` takes minutes on two CPU cores; ``B/32`` was trained on 256 accelerators.
Expected: ``digits``: among 64 pairs, many of which show one digit, the right caption comes first
          for 56 % of training pictures and 13 % of hands never seen; protocol: last step (600).
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; the others pictures with captions
          of your own in ``data/pairs/train`` and ``.../test`` (--config.data.train.root=...).
Deviates: the published sizes read text as bytes here, not as byte pairs.
"""

from ml_collections import ConfigDict

from mmjax.data.digits import Digits
from mmjax.presets import adamw

PUBLISHED = {
    # patch, image (width, depth, heads), text (width, depth, heads), features, learning rate
    "B/32": (32, (768, 12, 12), (512, 12, 8), 512, 5e-4),
    "B/16": (16, (768, 12, 12), (512, 12, 8), 512, 5e-4),
    "L/14": (14, (1024, 24, 16), (768, 12, 12), 768, 4e-4),
}
SMALL = {
    "digits": (4, (64, 3, 4), (64, 2, 4), 32, 1e-3),
    "tiny": (4, (16, 2, 2), (16, 1, 2), 8, 1e-3),
}
# Floating-point images minus the mean over the standard deviation of CLIP's training images.
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PIXELS = {
    "low": tuple(-m / d for m, d in zip(MEAN, DEVIATION, strict=True)),
    "high": tuple((1 - m) / d for m, d in zip(MEAN, DEVIATION, strict=True)),
}


def get_config(variant: str = "B/32") -> ConfigDict:
    """Towers of a published size, ``digits`` (minutes) or ``tiny`` (seconds)."""
    published = variant in PUBLISHED
    patch, image, text, features, rate = (PUBLISHED | SMALL)[variant]
    side, channels, length = (224, 3, 77) if published else (16, 1, 8)
    words = {"_target_": "mmjax.codecs.words:Words", "words": Digits("train").facts["words"]}
    vocabulary = 49_408 if published else len(words["words"]) + 1
    steps = {"digits": 600, "tiny": 8}.get(variant, 390_625)
    config = ConfigDict({"name": "clip", "seed": 0})
    config.modalities = {
        "image": {
            "_target_": "mmjax.modalities.image:Image",
            "height": side, "width": side, "channels": channels,
        },
        "text": {"_target_": "mmjax.modalities.text:Text", "length": length},
    }  # fmt: skip
    tokens = {"_target_": "mmjax.codecs.words:Bytes"} if published else words
    config.codecs = {
        "pixels": {"_target_": "mmjax.codecs.pixels:Pixels"} | (PIXELS if published else {}),
        "tokens": tokens | {"length": length},
    }
    clean = {"_target_": "mmjax.processes.clean:Clean"}
    config.streams = {
        "image": {"order": 0, "modality": "image", "codec": "pixels", "process": clean},
        "text": {"order": 1, "modality": "text", "codec": "tokens", "process": clean},
    }
    config.networks = {
        "towers": {
            "_target_": "mmjax.models.towers:Towers",
            "towers": {
                "image": {
                    "_target_": "mmjax.models.towers:ImageTower",
                    "features": features, "patch": patch, **_geometry(*image),
                },
                "text": {
                    "_target_": "mmjax.models.towers:TextTower",
                    "features": features, "vocabulary": vocabulary, **_geometry(*text),
                },
            },
        }
    }  # fmt: skip
    config.objective = {"_target_": "mmjax.objectives.contrastive:Contrastive"}
    schedule = {
        "peak": rate, "warmup": min(2_000, steps // 4), "decay": "cosine", "steps": steps,
    }  # fmt: skip
    config.updates = adamw(schedule, b2=0.98, eps=1e-6, weight_decay=0.2)
    config.data = {
        "train": _source(published, "train", side),
        "evaluation": _source(published, "test", side),
        "batch_size": {"digits": 64, "tiny": 8}.get(variant, 32_768),
    }
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def _geometry(width: int, depth: int, heads: int) -> dict:
    return {"width": width, "depth": depth, "heads": heads}


def _source(published: bool, split: str, side: int) -> dict:
    if published:
        return {"_target_": "mmjax.data.folder:Folder", "root": f"data/pairs/{split}"}
    return {
        "_target_": "mmjax.data.digits:Digits", "split": split, "height": side, "width": side,
    }  # fmt: skip
