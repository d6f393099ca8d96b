"""A decoder-only language model over bytes.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019): pre-norm blocks, GELU,
causal attention, a context of 1,024. ``full`` has the geometry of its smallest model
(85,454,083 parameters, of which the blocks' 85,054,464 are the published ones), ``pieces`` also its
byte pairs: 162,301,009 parameters, for its two tables of pieces are not one.

Command:  mmjax train --config configs/text/gpt.py:prose --workdir runs/gpt
          mmjax sample --workdir runs/gpt --given text="The data set contains" --out samples
Hardware: ``prose`` takes minutes on two CPU cores; ``full`` wants eight accelerators.
Expected: ``prose``: loss/text in nats per byte, from ln 259 = 5.56 to 2.67 after 64 steps.
Data:     ``prose`` and ``tiny`` read the descriptions that scikit-learn ships with its data sets;
          ``full`` text files of your own under ``data/text`` (--config.data.train.root=...);
          ``pieces`` too, and GPT-2's ``tokenizer.json`` (--config.codecs.pieces.path=...).
Deviates: bytes for byte pairs, rotary for learned positions, an output layer of its own: with an
          exact GELU these blocks are those of GPT-NeoX without parallel residuals, to the digit.
"""

from ml_collections import ConfigDict

from mmjax.codecs.words import Bytes
from mmjax.presets import adamw, passages

FULL = (768, 12, 12, 1_024, 300_000, 2_000, 512, 6e-4)
VARIANTS = {
    # width, depth, heads, length, steps, warm-up, batch, learning rate
    "full": FULL,
    "pieces": FULL,
    "prose": (128, 4, 4, 128, 400, 40, 32, 2e-3),
    "tiny": (32, 2, 2, 32, 8, 2, 8, 2e-3),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model: ``full``, ``pieces`` (as large), ``prose`` (minutes) or ``tiny`` (seconds)."""
    width, depth, heads, length, steps, warmup, batch, rate = VARIANTS[variant]
    config = ConfigDict({"name": "gpt", "seed": 0})
    config.modalities = {"text": {"_target_": "mmjax.modalities.text:Text", "length": length}}
    codec, begin = "bytes", Bytes.begin
    config.codecs = {"bytes": {"_target_": "mmjax.codecs.words:Bytes", "length": length}}
    if variant == "pieces":
        codec, begin, mark = "pieces", 50_256, "<|endoftext|>"  # one mark begins, ends and pads
        config.codecs = {
            "pieces": {
                "_target_": "mmjax.codecs.tokenisers:Subwords", "length": length,
                "path": "data/tokenizer.json", "end_token": mark, "pad_token": mark,
            }
        }  # fmt: skip
    config.streams = {
        "text": {
            "modality": "text",
            "codec": codec,
            "process": {"_target_": "mmjax.processes.next_token:NextToken", "begin": begin},
        }
    }
    config.networks = {
        "denoiser": {
            "_target_": "mmjax.models.transformer:Transformer",
            "width": width, "depth": depth, "heads": heads, "modulation": "none",
            "attention": {"text": "causal"},
            "rope": {
                "_target_": "mmjax.layers.positions:Rotary",
                "axes": ("index",), "dims": (width // heads,), "units": (1.0,),
            },
        }
    }  # fmt: skip
    config.objective = {"_target_": "mmjax.objectives.joint:Joint"}
    config.sampler = {"_target_": "mmjax.samplers.autoregressive:Autoregressive", "top_p": 0.95}
    schedule = {"peak": rate, "warmup": warmup, "decay": "cosine", "steps": steps, "final": 0.1}
    config.updates = adamw(schedule, b2=0.95, weight_decay=0.1, clip=1.0)
    config.data = passages(variant in ("full", "pieces"), length, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation = {"tasks": {"unconditional": {"want": ("text",)}}}
    return config
