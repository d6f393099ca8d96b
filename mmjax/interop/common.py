"""Moving weights between public state dicts and parameter trees by an explicit table of names."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.tree import flatten, unflatten
from mmjax.typing import Tree

_NAMED = 4  # names shown per list in an error


@dataclasses.dataclass(frozen=True)
class Weight:
    """One array under its two names.

    Attributes:
      public: key in the public state dict, PyTorch layout.
      path: path in the flattened parameter tree.
      kernel: whether the array is a dense or convolution kernel, ``[out, in, *window]`` in public
        and ``[*window, in, out]`` here; other arrays have one layout.
      layer: position on the leading axis of a stack of blocks; None where there is no stack.
      points: axes of length 1 that the array ends with in public: those of a 1x1 convolution, which
        a dense kernel lacks, or of a scale that is broadcast.
      collection: where :func:`mmjax.interop.load_pretrained` finds the path.
    """

    public: str
    path: str
    kernel: bool = False
    layer: int | None = None
    points: int = 0
    collection: str = "params"

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """An array in public layout as it is here."""
        rank = 1 + self.kernel
        if array.ndim == rank + self.points and array.shape[rank:] == (1,) * self.points:
            array = array.reshape(array.shape[:rank])
        return np.moveaxis(array, (1, 0), (-2, -1)) if self.kernel and array.ndim > 1 else array

    def to_public(self, array: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_ours`."""
        array = np.moveaxis(array, (-2, -1), (1, 0)) if self.kernel else array
        return np.array(array.reshape((*array.shape, *(1,) * self.points)), order="C")


def affine(
    public: str, path: str, layer: int | None = None, bias: bool = True, points: int = 0
) -> list[Weight]:
    """The kernel, and the bias if there is one, of a dense or convolution layer."""
    kernel = Weight(f"{public}.weight", f"{path}/kernel", True, layer, points)
    return [kernel, Weight(f"{public}.bias", f"{path}/bias", layer=layer)][: 1 + bias]


def scale_shift(public: str, path: str, layer: int | None = None) -> list[Weight]:
    """The scale and bias of a normalisation."""
    return [
        Weight(f"{public}.weight", f"{path}/scale", layer=layer),
        Weight(f"{public}.bias", f"{path}/bias", layer=layer),
    ]


def import_weights(
    weights: Iterable[Weight], state: Mapping[str, np.ndarray], like: Tree
) -> dict[str, Tree]:
    """A parameter tree shaped as ``like``, filled from a public state dict.

    Arrays stay in the type that they come in.

    Raises:
      UserError: naming keys that are missing from ``state`` or that nothing takes, arrays of
        another shape, and layers of one stack in different types.
      ValueError: the table does not cover ``like``.
    """
    weights = list(weights)
    report_keys({weight.public for weight in weights}, set(state))
    shapes, flat = flatten(like), {}
    covered = {weight.path for weight in weights}
    if covered != set(shapes):
        raise ValueError(f"weight table and parameters differ in {sorted(covered ^ set(shapes))}")
    for weight in weights:
        array, shape = weight.to_ours(np.asarray(state[weight.public])), shapes[weight.path].shape
        slot = flat.setdefault(weight.path, np.empty(shape, array.dtype))
        if weight.layer is not None:
            slot = slot[weight.layer]
        if array.shape != slot.shape or array.dtype != slot.dtype:
            raise UserError(
                f"weight {weight.public!r} has shape {state[weight.public].shape} and type "
                f"{array.dtype}, which does not fit {weight.path!r} of shape {slot.shape} and "
                f"type {slot.dtype}"
            )
        slot[...] = array
    return unflatten({path: flat[path] for path in shapes})


def export_weights(weights: Iterable[Weight], params: Tree) -> dict[str, np.ndarray]:
    """The public state dict of a parameter tree; the inverse of :func:`import_weights`."""
    flat, state = flatten(params), {}
    for weight in weights:
        array = np.asarray(flat[weight.path])
        state[weight.public] = weight.to_public(
            array if weight.layer is None else array[weight.layer]
        )
    return state


def report_keys(wanted: set[str], found: set[str]) -> None:
    """Raises a UserError that names missing and unexpected keys, if there are any."""
    problems = []
    for kind, keys in (("missing", wanted - found), ("unexpected", found - wanted)):
        if keys:
            shown = ", ".join(sorted(keys)[:_NAMED])
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            problems.append(f"{len(keys)} {kind} keys: {shown}{more}")
    if problems:
        raise UserError("state dict does not fit the model; " + "; ".join(problems))


def smallest_picture(module: Any) -> tuple[jax.ShapeDtypeStruct]:
    """The input of an image codec that has a level for each of ``module.widths``."""
    side = 2 ** len(module.widths)
    return (jax.ShapeDtypeStruct((1, side, side, module.channels), jnp.float32),)


def smallest_clip(module: Any) -> tuple[jax.ShapeDtypeStruct]:
    """The input of a video codec whose first frame stands alone: two latents, in one place."""
    time, *sides = module.strides
    return (jax.ShapeDtypeStruct((1, 1 + time, *sides, module.channels), jnp.float32),)
