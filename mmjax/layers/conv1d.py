"""Convolutions along time, channels last, with padding said outright and kernels kept factored."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.layers.grouped import convolve
from mmjax.typing import Array, Float

# A third of what keeps variances, as the published networks of sound begin: most have stacks of
# shortcuts and nothing that normalises, and would else begin beyond [-1, 1].
_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Conv1d(nn.Module):
    """A convolution along time.

    With ``normalised`` the kernel is ``scale * direction / |direction|``, one norm per output
    channel, and both factors are parameters (weight normalisation; Salimans & Kingma 2016, eq. 2).

    Attributes:
      features: output channels.
      kernel: taps.
      stride: input steps per output step.
      dilation: input steps between taps.
      padding: zeros before and after.
      groups: groups of channels that do not see each other.
      bias: whether a bias is added.
      normalised: whether the kernel is factored.
    """

    features: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    bias: bool = True
    normalised: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B N D"]:
        """``N = (L + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1`` steps."""
        shape = (self.kernel, x.shape[-1] // self.groups, self.features)
        kernel = kernel_of(self, shape, self.normalised)
        y = convolve(
            x, kernel, (self.stride,), (self.padding,), rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=self.groups,
        )  # fmt: skip
        return y + _bias(self) if self.bias else y


class ConvTranspose1d(nn.Module):
    """The transpose of a convolution along time, which lengthens by its stride.

    With ``normalised`` the kernel is factored as in :class:`Conv1d`, with one norm per *input*
    channel, as public weights have it.

    Attributes:
      features: output channels.
      kernel: taps.
      stride: output steps per input step.
      trim: steps cut off the result before and after.
      groups: groups of channels that do not see each other, 1 or the number of channels.
      bias: whether a bias is added.
      normalised: whether the kernel is factored.
    """

    features: int
    kernel: int
    stride: int
    trim: tuple[int, int] = (0, 0)
    groups: int = 1
    bias: bool = True
    normalised: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "B N C"]) -> Float[Array, "B L D"]:
        """``L = (N - 1) * stride + kernel - sum(trim)`` steps."""
        shape = (self.kernel, self.features // self.groups, x.shape[-1])
        kernel = kernel_of(self, shape, self.normalised)[::-1]
        y = convolve(
            x, kernel, (1,), (tuple(self.kernel - 1 - cut for cut in self.trim),),
            lhs_dilation=(self.stride,), feature_group_count=self.groups,
            # one channel per group: the axis that is in and out at once is the last
            dimension_numbers=("NWC", "WOI" if self.groups == 1 else "WIO", "NWC"),
        )  # fmt: skip
        return y + _bias(self) if self.bias else y


def same(kernel: int, dilation: int = 1) -> tuple[int, int]:
    """The padding with which an odd kernel at stride 1 keeps the length."""
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def pad_time(x: Float[Array, "B L C"], before: int, after: int, mode: str) -> Float[Array, "B N C"]:
    """``x`` with steps added at both ends.

    Args:
      x: steps along axis 1.
      before: how many to add before.
      after: how many to add after.
      mode: ``"constant"`` (zeros), ``"edge"``, or ``"reflect"``; a clip too short to be mirrored is
        lengthened by zeros for the time of the mirroring.
    """
    if mode != "reflect":
        return jnp.pad(x, ((0, 0), (before, after), (0, 0)), mode=mode)
    lack = max(0, max(before, after) + 1 - x.shape[1])
    x = jnp.pad(x, ((0, 0), (0, lack), (0, 0)))
    x = jnp.pad(x, ((0, 0), (before, after), (0, 0)), mode="reflect")
    return x[:, : x.shape[1] - lack]


def kernel_of(module: nn.Module, shape: Sequence[int], normalised: bool) -> Array:
    """The kernel of a module, plain or factored with one norm for each entry of its last axis."""
    if not normalised:
        return jnp.asarray(module.param("kernel", _INIT, shape))
    direction = jnp.asarray(module.param("direction", _INIT, shape))
    axes = tuple(range(len(shape) - 1))
    norm = jnp.sqrt(jnp.sum(jnp.square(direction), axis=axes, keepdims=True))
    # At the start the product is the direction itself.
    scale = module.param("scale", lambda _: jax.lax.stop_gradient(norm))
    return direction * (scale / norm)


def _bias(module: nn.Module) -> Array:
    return jnp.asarray(module.param("bias", nn.initializers.zeros, (module.features,)))
