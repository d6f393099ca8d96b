"""Grouped convolutions, whose kernels XLA differentiates wrongly on a mesh."""

from typing import Any

import jax
from jax.sharding import PartitionSpec as P

from mmjax.sharding.rules import divided
from mmjax.typing import Array


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
