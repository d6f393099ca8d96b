"""Weights of :class:`mmjax.models.perceptual.PerceptualDistance`, the class LPIPS of ``lpips``.

A folder holds ``{"architectures": ["LPIPS"]}`` as ``config.json`` beside one safetensors file: the
state dict of ``lpips.LPIPS(net="vgg")``, or torchvision's of ``vgg16`` (``features.0.weight`` ...)
with the tensors ``lin0.model.1.weight`` to ``lin4.model.1.weight`` of the package's own file.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.interop.architecture import Architecture, only
from mmjax.interop.common import Weight, affine
from mmjax.models.perceptual import PerceptualDistance

_FIELDS = ("widths", "convolutions")


def _build(config: Mapping[str, Any]) -> PerceptualDistance:
    only(config, "net", ("vgg",), "vgg")
    return PerceptualDistance(**{name: tuple(config[name]) for name in _FIELDS if name in config})


def _describe(module: PerceptualDistance) -> dict[str, Any]:
    return {"net": "vgg", **{name: list(getattr(module, name)) for name in _FIELDS}}


def _places(module: PerceptualDistance) -> Iterator[tuple[int, int, int]]:
    """Level, convolution, and its place in torchvision's list of convolutions, ReLUs and pools."""
    place = 0
    for level, count in enumerate(module.convolutions):
        place += bool(level)
        for index in range(count):
            yield level, index, place
            place += 2


def _weights(module: PerceptualDistance) -> list[Weight]:
    weights = []
    for level, index, place in _places(module):
        weights += affine(f"net.slice{level + 1}.{place}", f"level_{level}_conv_{index}")
    for level in range(len(module.widths)):
        weights += affine(f"lin{level}.model.1", f"level_{level}_head", bias=False, points=2)
    return weights


def _modernise(state: Mapping[str, Any]) -> dict[str, Any]:
    """Torchvision's names to those of ``lpips``, which cuts the list before each pool."""
    return {_renamed(name): array for name, array in state.items()}


def _renamed(name: str) -> str:
    levels = {str(place): level for level, _, place in _places(PerceptualDistance())}
    found = re.fullmatch(r"features\.(\d+)\.(weight|bias)", name)
    if found is None or found[1] not in levels:
        return name
    return f"net.slice{levels[found[1]] + 1}.{found[1]}.{found[2]}"


def _inputs(module: PerceptualDistance) -> tuple[jax.ShapeDtypeStruct, ...]:
    side = 2 ** len(module.widths)
    return (jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),) * 2


ARCHITECTURES = {
    "LPIPS": Architecture(
        "LPIPS",
        "transformers",
        PerceptualDistance,
        build=_build,
        describe=_describe,
        weights=_weights,
        inputs=_inputs,
        modernise=_modernise,
    )
}
