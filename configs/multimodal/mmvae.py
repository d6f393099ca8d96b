"""The multimodal VAE with a mixture of experts: a digit's picture and its label, from each other.

Shi, Siddharth, Paige and Torr, "Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep
Generative Models" (1911.03393): the latents of every modality's own encoder decode all modalities,
under an importance-weighted bound with doubly reparametrised gradients (1810.04152).

Command:  mmjax train --config configs/multimodal/mmvae.py:digits --workdir runs/mmvae
          mmjax sample --workdir runs/mmvae --given label=3 --count 8 --out samples
Hardware: ``digits`` takes minutes on two CPU cores, ``full`` an hour.
Expected: ``digits``: a bound of 42 nats on training batches, labels weighed, after 2,000 steps (188
          after the first 20); labels of held-out pictures are right in 0.78 of 360, and of pictures
          made from labels 0.89 are what was asked for, as a support vector machine reads them (0.94
          of real ones); protocol: one draw of the latents each.
Data:     scikit-learn's handwritten digits, scaled up from 8 x 8 pixels; nothing is downloaded.
Deviates: a label stands beside the picture in place of a house number; prior and posteriors are
          normal, not Laplace.
"""

from ml_collections import ConfigDict

from mmjax.presets import adamw, labelled_digits

VARIANTS = {
    # side, latents, width, latents drawn of each expert, steps, batch, learning rate
    "full": (28, 20, 400, 30, 2_000, 128, 1e-3),
    "digits": (8, 8, 64, 5, 2_000, 64, 1e-3),
    "tiny": (8, 8, 64, 3, 8, 16, 1e-2),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The model of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, latents, width, draws, steps, batch, rate = VARIANTS[variant]
    config = labelled_digits("mmvae", side, batch, likelihood="laplace")
    config.streams["image"]["process"]["scale"] = 0.75
    config.streams["label"]["weight"] = float(side**2)  # a label counts as much as all pixels
    config.networks = {
        stream: {
            "_target_": "mmjax.codecs.dense:DenseAutoencoder",
            "stream": stream, "latents": latents, "encoder": (width,), "decoder": (width,),
        }
        for stream in ("image", "label")
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.multimodal:MixtureOfExperts",
        "draws": draws, "estimator": "dreg",
    }  # fmt: skip
    config.updates = adamw({"peak": rate})
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config
