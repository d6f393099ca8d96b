"""Rows of weight tables that codecs of sound share."""

import dataclasses

import numpy as np

from mmjax.interop.common import Weight, affine

# How PyTorch names the two factors of a normalised kernel: scale, then direction.
FORMER_FACTORS = ("weight_g", "weight_v")
FACTORS = ("parametrizations.weight.original0", "parametrizations.weight.original1")


@dataclasses.dataclass(frozen=True)
class Channels(Weight):
    """One number per channel, public as ``[1, C, 1]``."""

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """``[C]``; an array of another form stays as it is and will not fit."""
        return array[0, :, 0] if array.ndim == 3 and array.shape[::2] == (1, 1) else array

    def to_public(self, array: np.ndarray) -> np.ndarray:
        """``[1, C, 1]``."""
        return array[None, :, None].copy()


def convolution(
    public: str, path: str, factors: tuple[str, str] | None = None, bias: bool = True
) -> list[Weight]:
    """The kernel, whole or in two factors, and the bias of a convolution along time."""
    if factors is None:
        return affine(public, path, bias=bias)
    scale, direction = factors
    table = [Weight(f"{public}.bias", f"{path}/bias")] if bias else []
    table.append(Weight(f"{public}.{scale}", f"{path}/scale", kernel=True))
    return [*table, Weight(f"{public}.{direction}", f"{path}/direction", kernel=True)]
