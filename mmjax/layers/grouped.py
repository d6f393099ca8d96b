"""Grouped convolutions, whose kernels XLA differentiates wrongly on a mesh, and depthwise ones."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from mmjax.sharding.rules import divided
from mmjax.typing import Array, Float


def convolve(x: Array, kernel: Array, *arguments: Any, **options: Any) -> Array:
    """``jax.lax.conv_general_dilated``, each device on the rows of the batch that it holds.

    Where the tensor or context axis of a mesh has several devices hold the same rows, the compiler
    of jax 0.10 multiplies the gradient of a grouped kernel by their number; ``tests/sharding``
    holds the case.
    """

    def run(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(x, kernel, *arguments, **options)

    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1 or options["feature_group_count"] == 1:
        return run(x, kernel)
    rows = P(divided(mesh, ("batch",), x.shape[:1])[0])
    share = jax.shard_map(run, in_specs=(rows, P()), out_specs=rows, check_vma=False)
    return share(x, kernel)


class DepthwiseConv(nn.Module):
    """A convolution of each channel by itself, as a sum of shifted products in float32.

    XLA for the CPU takes 20 to 40 times as long for a convolution of so many groups, and 3 to 7
    times for its gradient; sums are also right on every mesh.

    Attributes:
      side: of the kernel, odd.
      bias: whether a bias is added.
    """

    side: int
    bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """The convolved ``x``, padded with zeros to an unchanged resolution."""
        rows, columns, channels = x.shape[1:]
        shape, margin = (self.side, self.side, 1, channels), self.side // 2
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        taps = jnp.asarray(kernel, jnp.float32)[:, :, 0]
        wide = jnp.pad(x.astype(jnp.float32), ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        shifts = [(top, left) for top in range(self.side) for left in range(self.side)]
        y = sum(
            wide[:, top : top + rows, left : left + columns] * taps[top, left]
            for top, left in shifts
        ).astype(x.dtype)
        if not self.bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        return y + jnp.asarray(bias, x.dtype)
