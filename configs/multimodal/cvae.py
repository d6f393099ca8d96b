"""The conditional VAE: handwriting of a digit that is asked for.

Sohn, Lee and Yan, "Learning Structured Output Representation using Deep Conditional Generative
Models" (2015): encoder, decoder and prior all see the condition, and the divergence is from the
conditional prior.

Command:  mmjax train --config configs/multimodal/cvae.py:digits --workdir runs/cvae
          mmjax sample --workdir runs/cvae --given label=3 --want image --count 8 --out samples
Hardware: ``digits`` takes minutes on two CPU cores, ``full`` some more.
Expected: ``digits``: 20.6 nats of ``-log p(picture | z)`` and 0.9 of divergence on training batches
          after 2,000 steps (43.3 and 0.4 after the first 20); protocol: log of the loss.
Data:     scikit-learn's handwritten digits, scaled up from 8 x 8 pixels; nothing is downloaded.
Deviates: the paper completes pictures of which a quarter is given; here the label is given.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw, labelled_digits

VARIANTS = {
    # side, latents, widths, steps, batch, learning rate
    "full": (28, 50, (1000, 1000), 2_000, 96, 1e-3),
    "digits": (8, 8, (64,), 2_000, 64, 1e-3),
    "tiny": (8, 8, (64,), 8, 32, 1e-2),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, latents, widths, steps, batch, rate = VARIANTS[variant]
    config = labelled_digits("cvae", side, batch, likelihood="bernoulli")
    config.streams["label"]["process"] = {"_target_": "mmjax.processes.clean:Clean"}
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.dense:ConditionalAutoencoder",
            "stream": "image", "condition": "label", "latents": latents, "widths": widths,
        }
    }  # fmt: skip
    config.objective = {"_target_": "mmjax.objectives.conditional:ConditionalVariational"}
    config.updates = adamw({"peak": rate})
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation.tasks = {
        "reconstruction": {"given": ("image", "label"), "want": ("image",)},
        "label_to_image": {"given": ("label",), "want": ("image",)},
    }
    return config
