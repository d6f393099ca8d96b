"""The multimodal VAE with a product of experts: a digit's picture and its label, from each other.

Wu and Goodman, "Multimodal Generative Models for Scalable Weakly-Supervised Learning" (1802.05335):
each modality has an encoder of its own, the posterior under any of them is their product with the
prior. ``full`` has the networks of the paper's MNIST experiment.

Command:  mmjax train --config configs/multimodal/mvae.py --workdir runs/mvae
          mmjax sample --workdir runs/mvae --given label=3 --count 8 --out samples
Hardware: ``full`` takes minutes on two CPU cores, ``tiny`` seconds.
Expected: after 1,500 of 7,200 steps ``-log p(picture | z)`` is 231 nats on training batches (402
          after the first 20); labels of held-out pictures are right in 0.58 of 360, and of pictures
          made from labels 0.77 are what was asked for, as a support vector machine reads them (0.94
          of real ones); protocol: one draw of the latents each.
Data:     scikit-learn's handwritten digits, scaled up from 8 x 8 pixels; nothing is downloaded.
Deviates: 1,437 digits of scikit-learn for 60,000 of MNIST, and as many epochs over them.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw, labelled_digits

VARIANTS = {
    # side, latents, encoder, decoder, steps, steps of annealing, batch, learning rate
    "full": (28, 64, (512, 512), (512, 512, 512), 7_200, 2_880, 100, 1e-3),
    "tiny": (8, 8, (64,), (64,), 8, 4, 32, 1e-2),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model of a size: ``full`` (minutes) or ``tiny`` (seconds)."""
    side, latents, encoder, decoder, steps, annealed, batch, rate = VARIANTS[variant]
    config = labelled_digits("mvae", side, batch, likelihood="bernoulli")
    config.streams["label"]["weight"] = 10.0
    config.networks = {
        stream: {
            "_target_": "mmjax.codecs.dense:DenseAutoencoder",
            "stream": stream, "latents": latents, "encoder": encoder, "decoder": decoder,
        }
        for stream in ("image", "label")
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.multimodal:ProductOfExperts", "annealed": annealed,
    }  # fmt: skip
    config.updates = adamw({"peak": rate})
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
