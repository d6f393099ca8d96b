"""The deep convolutional GAN: pictures from noise, by two players.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks" (1511.06434), section 4. ``full`` makes 64-pixel pictures with
3,576,704 (generator) and 2,765,568 (discriminator) parameters, as in PyTorch's public example.

Command:  mmjax train --config configs/image/gan.py:digits --workdir runs/gan
Hardware: ``digits`` takes minutes on two CPU cores; ``full`` takes one accelerator.
Expected: ``digits``: readable digits at the last step, as ``mmjax sample --want image`` shows.
Data:     ``digits`` and ``tiny`` read scikit-learn's handwriting; ``full`` pictures of your own in
          ``data/images/train`` and ``data/images/test`` (--config.data.train.root=...).
Deviates: kernels of 4 x 4 pixels where the paper has 5 x 5, as in public ports.
"""

from ml_collections import ConfigDict

from mmjax.presets import picture_data, pictures, players

VARIANTS = {
    # side, channels, widths from high to low resolution, noise, steps, batch
    "full": (64, 3, (64, 128, 256, 512), 100, 150_000, 128),
    "digits": (16, 1, (32, 64), 32, 1_500, 64),
    "tiny": (16, 1, (8, 16), 8, 8, 8),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The two players of a size: ``full``, ``digits`` (minutes) or ``tiny`` (seconds)."""
    side, channels, widths, noise, steps, batch = VARIANTS[variant]
    config = pictures("gan", side, channels)
    config.networks = {
        "generator": {
            "_target_": "mmjax.models.gan:Generator",
            "channels": channels, "widths": widths[::-1],
        },
        "discriminator": {"_target_": "mmjax.models.gan:Discriminator", "widths": widths},
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.adversarial:Adversarial", "noise": noise,
    }  # fmt: skip
    config.updates = players(2e-4, ("discriminator", "generator"), b1=0.5)
    config.data = picture_data(variant == "full", side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    config.evaluation = {"tasks": {"unconditional": {"want": ("image",)}}}
    return config
