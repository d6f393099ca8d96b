"""Floating point operations of a traced function: its matrix products and convolutions.

XLA's own count takes the body of a loop once and a custom kernel for nothing. Here a jaxpr is
walked: products and convolutions, times the length of the scans around them. A multiplication and
an addition count as two; everything else, such as softmax or an optimiser's arithmetic, as none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

AnyJaxpr = core.Jaxpr | core.ClosedJaxpr
Formula = Callable[[core.JaxprEqn], float]
FORMULAS: dict[str, Formula] = {}
OPAQUE = ("pallas_call", "ffi_call")  # kernels whose inside the walk cannot count


def register(kernel: str) -> Callable[[Formula], Formula]:
    """Gives kernels whose name begins with ``kernel`` a formula from equation to operations."""

    def add(formula: Formula) -> Formula:
        FORMULAS[kernel] = formula
        return formula

    return add


def count(function: Callable, *arguments) -> float:
    """The operations of one call; arguments may be shapes alone."""
    return count_jaxpr(jax.make_jaxpr(function)(*arguments))


def count_jaxpr(jaxpr: AnyJaxpr) -> float:
    """The operations of a jaxpr, over all devices.

    Raises:
      ValueError: a kernel has no registered formula, or a ``while`` of unknown length multiplies.
    """
    return _count(jaxpr, {})


def _count(jaxpr: AnyJaxpr, known: dict[int, float]) -> float:
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    if id(jaxpr) not in known:
        known[id(jaxpr)] = math.fsum(_equation(equation, known) for equation in jaxpr.eqns)
    return known[id(jaxpr)]


def _equation(equation: core.JaxprEqn, known: dict[int, float]) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return product(*(v.aval.shape for v in equation.invars), params["dimension_numbers"])
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name in OPAQUE:
        return _kernel(equation)
    inner = [_count(jaxpr, known) for jaxpr in _inside(params)]
    if name == "scan":
        return params["length"] * math.fsum(inner)
    if name == "while" and any(inner):
        raise ValueError("a while loop of unknown length holds products; make it a scan")
    if name == "cond":
        return max(inner)
    if name == "shard_map":  # the body is one device's share
        return math.fsum(inner) * math.prod(params["mesh"].shape[axis] for axis in _manual(params))
    return math.fsum(inner)


def _manual(params: Mapping[str, Any]) -> frozenset[str]:
    """The axes of the mesh that a ``shard_map`` shares its arguments out over."""
    return frozenset(params.get("newly_manual_axes", params.get("manual_axes", ())))


def _inside(params: Mapping[str, Any]) -> list[AnyJaxpr]:
    """The jaxprs that an equation calls."""
    found = []
    for value in params.values():
        values = value if isinstance(value, (tuple, list)) else (value,)
        found += [v for v in values if isinstance(v, (core.Jaxpr, core.ClosedJaxpr))]
    return found


def product(left: Sequence[int], right: Sequence[int], dimensions) -> float:
    """The operations of a ``dot_general`` of these shapes."""
    (contracting, right_contracting), (batch, right_batch) = dimensions
    free = [n for i, n in enumerate(right) if i not in (*right_contracting, *right_batch)]
    return 2.0 * math.prod(left) * math.prod(free)


def _convolution(equation: core.JaxprEqn) -> float:
    """Twice the products of a kernel's element with one of the input, padding left out."""
    params, (image, kernel) = equation.params, (v.aval.shape for v in equation.invars)
    numbers = params["dimension_numbers"]
    batch, channels, *sizes = (image[i] for i in numbers.lhs_spec)
    features, per_group, *taps = (kernel[i] for i in numbers.rhs_spec)
    del channels
    pairs = math.prod(
        taps_inside(*axis)
        for axis in zip(
            sizes, taps, params["window_strides"], params["padding"],
            params["lhs_dilation"], params["rhs_dilation"], strict=True,
        )
    )  # fmt: skip
    return 2.0 * batch / params["batch_group_count"] * features * per_group * pairs


def taps_inside(
    size: int, taps: int, stride: int, padding: tuple[int, int], dilation: int, spacing: int
) -> int:
    """How often a window's tap meets an element along one axis.

    Args:
      size: elements of the input.
      taps: of the kernel.
      stride: between windows.
      padding: before and after.
      dilation: distance of neighbouring elements in the padded input.
      spacing: distance of neighbouring taps.
    """
    padded = (size - 1) * dilation + 1 + sum(padding)
    windows = (padded - (taps - 1) * spacing - 1) // stride + 1
    place = np.arange(windows)[:, None] * stride + np.arange(taps) * spacing - padding[0]
    inside = (place >= 0) & (place <= (size - 1) * dilation) & (place % dilation == 0)
    return int(inside.sum())


def _kernel(equation: core.JaxprEqn) -> float:
    name = kernel_name(equation)
    formulas = [formula for prefix, formula in FORMULAS.items() if name.startswith(prefix)]
    if not formulas:
        raise ValueError(f"kernel {name!r} has no formula; see mmjax.planning.flops.register")
    return formulas[-1](equation)


def kernel_name(equation: core.JaxprEqn) -> str:
    """The name of a custom kernel."""
    params = equation.params
    if "target_name" in params:
        return str(params["target_name"])
    info = params.get("name_and_src_info")
    return str(getattr(info, "name", info) or params.get("name"))
