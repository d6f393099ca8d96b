"""How many operations custom kernels do, for :mod:`mmjax.planning.flops`."""

import math

from jax.extend import core

from mmjax.planning.flops import kernel_name, register

# Products of a query with a key or of a weight with a value, for each pair and head. The backward
# kernels compute the scores again: the queries' needs scores, weights' and queries' gradients; the
# keys' and values' needs scores, weights' gradients and both.
_PRODUCTS = {"fwd": 2, "dq": 3, "dkv": 4}


@register("splash_")
def splash(equation: core.JaxprEqn) -> float:
    """Attention by blocks (see :mod:`mmjax.layers.tpu_attention`), hidden pairs and padding too."""
    phase = next(part for part in kernel_name(equation).split("_") if part in _PRODUCTS)
    shapes = [v.aval.shape for v in equation.invars if v.aval.dtype.kind in "fV"]
    queries, keys = (shape for shape in shapes[:2])
    return 2.0 * _PRODUCTS[phase] * math.prod(queries) * keys[-2]
