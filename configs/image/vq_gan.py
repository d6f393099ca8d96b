"""VQ-GAN: pictures to a small grid of codes and back, judged by a critic of patches.

Esser, Rombach and Ommer, "Taming Transformers for High-Resolution Image Synthesis" (2012.09841),
section 3.1 and table 7. ``full`` is the f16 codec of ImageNet with 1,024 codes (72,141,699
parameters, beside 2,765,633 of the critic and 14,716,160 of LPIPS), ``16384`` the one with so many
(76,073,859). The other forms read digits, each with another quantiser: ``digits`` the codebook that
gradients move, ``ema`` one of moving averages with restarts (VQ-VAE-2), ``factorised`` one of few
dimensions (ViT-VQGAN), ``rounded`` finite scalars, ``signs`` MAGVIT-2's, ``gumbel`` DALL-E's.

Command:  mmjax train --config configs/image/vq_gan.py:digits --workdir runs/vq_gan
Hardware: the forms on digits take minutes on two CPU cores; ``full`` wants eight accelerators.
Expected: ``digits``: a mean absolute error of 0.093 of pixels in [-1, 1] on training batches after
          240 steps without the critic (0.36 after the first 20), and of 0.14 after another 260 with
          it; 12 codes in even use; protocol: log of the loss.
Data:     ``full`` and ``16384`` read pictures of your own in ``data/images/train`` and
          ``data/images/test`` (--config.data.train.root=...), and LPIPS's weights in ``data/lpips``
          (mmjax weights import DIR --to data/lpips; DIR as in mmjax/interop/perceptual.py); others
          scikit-learn's handwriting.
Deviates: the commitment weighs a quarter, as in the paper; in the weights that its authors gave out
          the codebook's loss does. Digits have no perceptual term, ``tiny`` one on random features.
"""

from ml_collections import ConfigDict

from mmjax.presets import picture_data, pictures, players

OWN = (256, 3, (128, 128, 256, 256, 512), 2, 256, 32, (4,), (64, 3), 600_000, 250_001, 96, 4.5e-6)
DIGITS = (16, 1, (32, 64), 1, 8, 8, (), (16, 1), 500, 250, 32, 3e-5)
TINY = (8, 1, (4, 8), 0, 4, 2, (), (4, 1), 8, 4, 8, 1.25e-4)
VARIANTS = {
    # side, channels, widths, blocks, latents, groups, attention, critic's width and halvings,
    # steps, the critic's first, batch, learning rate per example; quantiser, codes, its numbers
    "full": (*OWN, "nearest", 1_024, 256),
    "16384": (*OWN, "nearest", 16_384, 256),
    "digits": (*DIGITS, "nearest", 64, 8),
    "ema": (*DIGITS, "ema", 64, 8),
    "factorised": (*DIGITS, "factorised", 64, 8),
    "rounded": (*DIGITS, "rounded", 8 * 6 * 5, 3),
    "signs": (*DIGITS, "signs", 2**6, 6),
    "gumbel": (*DIGITS, "gumbel", 64, 64),
    "tiny": (*TINY, "ema", 16, 4),
}


def get_config(variant: str = "full") -> ConfigDict:
    """The codec and its critic: ``full``, ``16384``, one on digits (minutes) or ``tiny``."""
    side, channels, widths, blocks, latents, groups, attention, critic, *rest = VARIANTS[variant]
    steps, starts, batch, rate, kind, codes, size = rest
    quantiser, penalties = _quantiser(kind, codes, size, latents)
    config = pictures("vq_gan", side, channels)
    config.networks = {
        "autoencoder": {
            "_target_": "mmjax.codecs.vq:VQAutoencoder",
            "quantiser": quantiser, "size": size, "channels": channels, "widths": widths,
            "blocks": blocks, "latents": latents, "groups": groups, "attention": attention,
            "middle": bool(attention),
        },
        "discriminator": {
            "_target_": "mmjax.models.patch_gan:PatchDiscriminator",
            "width": critic[0], "halvings": critic[1],
        },
    }  # fmt: skip
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding", "penalties": penalties,
        "critic": {"weight": 0.8, "starts": starts, "last": "decoder/conv_out/kernel"},
    }  # fmt: skip
    own = widths == OWN[2]
    if own or variant == "tiny":
        _add_perceptual(config, own)
    config.updates = players(rate * batch, b1=0.5, b2=0.9)
    config.data = picture_data(own, side, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def _add_perceptual(config: ConfigDict, learned: bool) -> None:
    """Adds the perceptual distance: LPIPS, whose weights are given, or untrained layers."""
    target = "mmjax.models.perceptual:PerceptualDistance"
    name, sizes = ("lpips", {}) if learned else (
        "random_features", {"widths": (2, 4), "convolutions": (1, 1)},
    )  # fmt: skip
    config.networks[name] = {"_target_": target, **sizes}
    config.objective.errors = {
        "l1": {"_target_": "mmjax.objectives.errors:Absolute"},
        name: {"_target_": "mmjax.objectives.errors:Perceptual", "network": name},
    }
    if learned:
        config.init = {
            "folder": "data/lpips", "paths": {name: "module"}, "unused": "module/extras/.*",
            "fresh": "(autoencoder|discriminator)/.*",
        }  # fmt: skip


def _quantiser(kind: str, codes: int, size: int, latents: int) -> tuple[dict, dict]:
    """One of mmjax/codecs/quantisers with ``codes`` codes, and the weights of its losses."""
    folder, book = "mmjax.codecs.quantisers", {"vocabulary": codes, "size": size}
    distance = {"commitment": 0.25, "codebook": 1.0}
    return {
        "nearest": ({"_target_": f"{folder}.nearest:Nearest", **book}, distance),
        "ema": (
            {"_target_": f"{folder}.ema:MovingAverage", **book, "decay": 0.95, "reset": 0.05},
            {"commitment": 0.25},
        ),
        "factorised": (
            {
                "_target_": f"{folder}.factorised:Factorised",
                "vocabulary": codes, "size": 4, "features": size,
            },
            distance,
        ),
        "rounded": (
            {"_target_": f"{folder}.finite_scalar:FiniteScalar", "levels": (8, 6, 5)}, {},
        ),
        "signs": (
            {"_target_": f"{folder}.lookup_free:LookupFree", "bits": size, "sharpness": 1.0},
            {"commitment": 0.25, "entropy": 0.1, "diversity": 0.1},
        ),
        "gumbel": (
            {
                "_target_": f"{folder}.gumbel:Gumbel",
                "vocabulary": codes, "size": latents, "hard": True,
            },
            {"uniform": 5e-4},
        ),
    }[kind]  # fmt: skip
