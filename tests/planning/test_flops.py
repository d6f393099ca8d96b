import math
import re

import jax
import jax.numpy as jnp
import pytest

from mmjax import config as configs
from mmjax.layers import tpu_attention
from mmjax.planning import abstract, flops, hlo, kernels
from mmjax.training.restore import without_data
from mmjax.training.system import build
from tests.tiny import FOLDER


def of_hlo(text):
    """Operations of the products and convolutions of a program, read from its instructions."""
    program = hlo.parse(text)
    total = 0
    for computation, instruction, times in program.walk():
        if instruction.opcode not in ("dot", "convolution"):
            continue
        left, right = (computation[name].buffers[0].shape for name in instruction.operands)
        made = instruction.buffers[0].shape
        if instruction.opcode == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.attributes)[1]
            summed = math.prod(left[int(i)] for i in axes.split(",") if i)
            total += times * 2 * math.prod(made) * summed
        else:
            total += times * 2 * of_convolution(left, right, made, instruction.attributes)
    return total


def of_convolution(left, right, made, attributes):
    """Products of a number with a number, those with padding or between dilated ones left out."""
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", attributes)
    left, right, made = (
        dict(zip(names, shape, strict=True))
        for names, shape in zip(labels.groups(), (left, right, made), strict=True)
    )
    window = dict(re.findall(r"(\w+)=([\dx_-]+)", re.search(r"window=\{(.*?)\}", attributes)[1]))
    products = made["b"] * made["f"] * right["i"]
    for axis, taps in enumerate(window["size"].split("x")):
        one = {name: values.split("x")[axis] for name, values in window.items()}
        stride, near, far = (int(one.get(k, 1)) for k in ("stride", "lhs_dilate", "rhs_dilate"))
        first = int(one.get("pad", "0_0").split("_")[0])
        places = [
            out * stride + tap * far - first
            for out in range(made[str(axis)]) for tap in range(int(taps))
        ]  # fmt: skip
        size = left[str(axis)]
        products *= sum(p % near == 0 and 0 <= p // near < size for p in places)
    return products


@pytest.mark.parametrize("name", ["quickstart", "image/kl_vae", "text/gpt"])
def test_as_many_as_the_unrolled_program_holds(name):
    config = configs.load(f"{FOLDER}/{name}.py:tiny")
    task = abstract.model_step(build(without_data(config)))
    counted = flops.count(task.function, *task.arguments)
    lowered = jax.jit(task.function).lower(*task.arguments)
    assert counted == pytest.approx(of_hlo(lowered.as_text("hlo")), rel=0.01)


def test_a_loop_counts_as_often_as_it_runs():
    w = jnp.ones((5, 4, 4))

    def run(x):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, w)[0]

    assert flops.count(run, jnp.ones((3, 4))) == 5 * 2 * 3 * 4 * 4


def test_convolutions_leave_padding_out():
    x, w = jnp.ones((1, 6, 2)), jnp.ones((3, 2, 5))

    def run(x, w, stride):
        return jax.lax.conv_general_dilated(
            x, w, (stride,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    # 6 windows of 3 taps, of which the first and the last meet one element of padding each
    assert flops.count(lambda x, w: run(x, w, 1), x, w) == 2 * 2 * 5 * (6 * 3 - 2)
    # the gradient to the input meets the same pairs, though it dilates
    forward = flops.count(lambda x: run(x, w, 2), x)
    assert flops.count(lambda x: jax.vjp(lambda x: run(x, w, 2), x)[1](run(x, w, 2)), x) == (
        pytest.approx(3 * forward)
    )


def test_a_while_of_unknown_length_is_refused():
    def run(x):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

    with pytest.raises(ValueError, match="unknown length"):
        flops.count(run, jnp.ones((2, 2)))


def test_kernels_are_counted_by_formula_or_refused(monkeypatch):
    q, k = jnp.ones((2, 200, 4, 32), jnp.bfloat16), jnp.ones((2, 300, 2, 32), jnp.bfloat16)

    def run(q, k):
        return tpu_attention.attend(q, k, k, None).astype(jnp.float32).sum()

    pairs = 2 * 4 * 256 * 384 * 128  # padded to whole blocks and lanes
    assert flops.count(run, q, k) == 2 * 2 * pairs
    both = flops.count(jax.grad(run, argnums=(0, 1)), q, k)
    assert both == pytest.approx(2 * (2 + 3 + 4) * pairs, rel=1e-3)
    assert kernels.splash in flops.FORMULAS.values()
    monkeypatch.setattr(flops, "FORMULAS", {})
    with pytest.raises(ValueError, match="splash_mha_fwd.* has no formula"):
        flops.count(run, q, k)
