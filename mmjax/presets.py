"""Parts that several configs write alike."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

_DIGITS = {"_target_": "mmjax.data.bouncing_digits:BouncingDigits"}


def pictures(name: str, side: int, channels: int) -> ConfigDict:
    """The beginning of a config whose one stream is square pictures, as pixels in [-1, 1]."""
    config = ConfigDict({"name": name, "seed": 0})
    config.modalities = {
        "image": {
            "_target_": "mmjax.modalities.image:Image",
            "height": side, "width": side, "channels": channels,
        }
    }  # fmt: skip
    config.codecs = {"pixels": {"_target_": "mmjax.codecs.pixels:Pixels"}}
    config.streams = {
        "image": {
            "modality": "image", "codec": "pixels",
            "process": {"_target_": "mmjax.processes.clean:Clean"},
        }
    }  # fmt: skip
    return config


def labelled_digits(name: str, side: int, batch_size: int, likelihood: str) -> ConfigDict:
    """The beginning of a config of two streams: handwritten digits in [0, 1] and their labels.

    The process of each is a likelihood, that of the pictures of the family ``likelihood``; pictures
    are to come back, either is to be made from the other, and both from nothing.
    """
    config = pictures(name, side, channels=1)
    config.modalities["label"] = {"_target_": "mmjax.modalities.label:Label", "classes": 10}
    config.codecs["pixels"].update(low=0.0, high=1.0)
    target = "mmjax.processes.likelihood:Likelihood"
    config.streams = {
        "image": {
            "order": 0, "modality": "image", "codec": "pixels",
            "process": {"_target_": target, "family": likelihood},
        },
        "label": {
            "order": 1, "modality": "label",
            "process": {"_target_": target, "family": "categorical"},
        },
    }  # fmt: skip
    config.data = picture_data(False, side, batch_size)
    folder = "mmjax.evaluation.metrics"
    config.evaluation = {
        "tasks": {
            "reconstruction": {"given": ("image",), "want": ("image",)},
            "label_to_image": {"given": ("label",), "want": ("image",)},
            "image_to_label": {"given": ("image",), "want": ("label",)},
            "unconditional": {"want": ("image", "label")},
        },
        "metrics": {
            "fidelity": {"_target_": f"{folder}.fidelity:Fidelity", "field": "image"},
            "agreement": {"_target_": f"{folder}.agreement:Agreement", "field": "label"},
        },
    }
    return config


def picture_data(
    own: bool, side: int, batch_size: int, folder: str = "data/images"
) -> Mapping[str, Any]:
    """The ``data`` section: ``own`` pictures in a folder, or scikit-learn's handwriting."""
    digits = {"_target_": "mmjax.data.digits:Digits", "height": side, "width": side}
    return _data(folder if own else "", digits, batch_size)


def two_level_codec(
    channels: int,
    width: int,
    blocks: int,
    inner: int,
    size: int,
    codes: int,
    decay: float,
    reset: float,
) -> Mapping[str, Any]:
    """VQ-VAE-2's codec of pictures, with two codebooks that follow averages."""
    return {
        "_target_": "mmjax.codecs.vq2:VQAutoencoder2",
        "quantiser": {
            "_target_": "mmjax.codecs.quantisers.ema:MovingAverage",
            "vocabulary": codes, "size": size, "decay": decay, "reset": reset,
        },
        "size": size, "channels": channels, "width": width, "blocks": blocks, "inner": inner,
    }  # fmt: skip


def clips(name: str, frames: int, side: int, fps: int | float, channels: int) -> ConfigDict:
    """The beginning of a config whose one stream is square video, as pixels in [-1, 1]."""
    config = pictures(name, side, channels)
    config.modalities = {
        "video": {
            "_target_": "mmjax.modalities.video:Video",
            "frames": frames, "height": side, "width": side, "fps": fps, "channels": channels,
        }
    }  # fmt: skip
    config.streams = {"video": {**config.streams.image, "modality": "video"}}
    return config


def clip_data(own: bool, frames: int, batch_size: int) -> Mapping[str, Any]:
    """The ``data`` section: ``own`` clips in ``data/videos``, or the bouncing digits."""
    return _data("data/videos" if own else "", _DIGITS | {"frames": frames}, batch_size)


def clip_codec(name: str, published: bool, network: Mapping[str, Any], fps: int = 24) -> ConfigDict:
    """An autoencoder of video: 17 frames of 256 pixels a side, or seconds of training on digits.

    ``network`` has all fields but ``channels``; those of the digits' clips are one.
    """
    frames, side, rate, channels, steps, batch, peak = (
        (17, 256, fps, 3, 400_000, 32, 1e-4) if published else (13, 24, 12.5, 1, 8, 8, 2e-3)
    )
    config = clips(name, frames, side, rate, channels)
    reconstruction(config, {**network, "channels": channels}, peak, b1=0.9, b2=0.99)
    if not published:  # black, the digits' median, is a plateau of the absolute error
        config.objective.errors = {"l2": {"_target_": "mmjax.objectives.errors:Squared"}}
    config.data = clip_data(published, frames, batch)
    config.train = {"steps": steps, "log_every": 20, "save_every": 500}
    return config


def passages(own: bool, length: int, batch_size: int) -> Mapping[str, Any]:
    """The ``data`` section: passages of ``own`` files in ``data/text``, or scikit-learn's prose.

    ``length`` tokens hold ``length - 1`` characters and the end.
    """
    root = "data/text" if own else "package:sklearn.datasets.descr"
    source = {"_target_": "mmjax.data.passages:Passages", "root": root, "size": length - 1}
    return _data("", source, batch_size)


def adamw(schedule: Mapping[str, Any], **fields: Any) -> Mapping[str, Any]:
    """The ``updates`` section of one AdamW for all parameters."""
    optimiser = {"_target_": "mmjax.training.optimiser:AdamW", **fields, "schedule": schedule}
    return {"all": {"optimiser": optimiser}}


def reconstruction(
    config: ConfigDict, network: Mapping[str, Any], rate: float, b1: float = 0.5, b2: float = 0.9
) -> None:
    """Sets network, objective and optimiser of latent diffusion's autoencoders (2112.10752)."""
    config.networks = {"autoencoder": network}
    config.objective = {
        "_target_": "mmjax.objectives.coding:Coding",
        "stream": next(iter(config.streams)), "penalties": {"divergence": 1e-6},
    }  # fmt: skip
    config.updates = adamw({"peak": rate}, b1=b1, b2=b2)


def sounds(name: str, samples: int, rate: int, channels: int) -> ConfigDict:
    """The beginning of a config whose one stream is waveforms in [-1, 1]."""
    config = ConfigDict({"name": name, "seed": 0})
    config.modalities = {
        "audio": {
            "_target_": "mmjax.modalities.audio:Audio",
            "samples": samples, "rate": rate, "channels": channels,
        }
    }  # fmt: skip
    config.streams = {
        "audio": {"modality": "audio", "process": {"_target_": "mmjax.processes.clean:Clean"}}
    }
    return config


def sound_data(own: bool, batch_size: int, levelled: bool = False) -> Mapping[str, Any]:
    """The ``data`` section: ``own`` sounds in ``data/sounds``, or 1.04 s of the bouncing digits'.

    These are 8,320 samples of stereo at 8 kHz. ``levelled``: all at one loudness.
    """
    data = _data("data/sounds" if own else "", _DIGITS | {"frames": 13}, batch_size)
    if levelled:
        target = {"_target_": "mmjax.data.levelled:Levelled"}
        data |= {split: target | {"source": data[split]} for split in ("train", "evaluation")}
    return data


def _data(folder: str, other: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """The files of both splits in a folder, or the other source where there is none."""

    def source(split: str) -> Mapping[str, Any]:
        if folder:
            return {"_target_": "mmjax.data.folder:Folder", "root": f"{folder}/{split}"}
        return {**other, "split": split}

    return {"train": source("train"), "evaluation": source("test"), "batch_size": batch_size}


def players(
    rate: float | tuple[float, ...],
    names: tuple[str, ...] = ("autoencoder", "discriminator"),
    decay: int = 0,
    **fields: Any,
) -> Mapping[str, Any]:
    """The ``updates`` section of networks that play against each other, in their order.

    ``rate`` is one for all, or a tuple of one for each; over ``decay`` steps it falls to nothing
    along a cosine, at 0 it stays.
    """
    falls = {"decay": "cosine", "steps": decay} if decay else {}
    rates = rate if isinstance(rate, tuple) else (rate,) * len(names)
    found = {}
    for order, (name, peak) in enumerate(zip(names, rates, strict=True)):
        (one,) = adamw({"peak": peak, **falls}, **fields).values()
        found[name] = {**one, "order": order, "params": f"{name}/.*"}
    return found
