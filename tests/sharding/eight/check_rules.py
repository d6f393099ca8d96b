"""Gradients that the compiler gets wrong on a mesh, and how ours come out right."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.layers.grouped import convolve
from mmjax.sharding import rules
from mmjax.sharding.mesh import MeshSpec, make_mesh
from tests.sharding.meshes import on

BATCH, TOKENS, WIDTH, HIDDEN = 16, 4, 32, 64
MESH = MeshSpec(data=2, fsdp=2, tensor=2)
ALIKE = {"up": {"kernel": P("fsdp", "tensor")}, "down": {"kernel": P("fsdp", "tensor")}}
OURS = {"up": {"kernel": P("fsdp", "tensor")}, "down": {"kernel": P("tensor", "fsdp")}}


def loss(params, x):
    hidden = jax.nn.gelu(x @ params["up"]["kernel"])
    return jnp.mean(jnp.square(hidden @ params["down"]["kernel"]))


def inputs():
    rng = np.random.default_rng(0)
    up, down, x = (
        rng.normal(size=shape).astype(np.float32) / np.sqrt(shape[0])
        for shape in ((WIDTH, HIDDEN), (HIDDEN, WIDTH), (BATCH, TOKENS, WIDTH))
    )
    return {"up": {"kernel": up}, "down": {"kernel": down}}, x


def error(cut):
    """How far gradients on the mesh are from those on one device, relative to their norm."""
    params, x = inputs()
    mesh = make_mesh(MESH)
    where = jax.tree.map(lambda spec: NamedSharding(mesh, spec), cut)
    rows = NamedSharding(mesh, P(("data", "fsdp")))
    found = on(MESH, jax.grad(loss), (where, rows))(params, x)
    expected = jax.grad(loss)(params, x)
    relative = lambda a, b: float(np.linalg.norm(a - b) / np.linalg.norm(b))  # noqa: E731
    return max(jax.tree.leaves(jax.tree.map(relative, jax.device_get(found), expected)))


def test_the_rules_are_megatrons():
    found = rules.shardings(make_mesh(MESH), inputs()[0])
    assert jax.tree.map(lambda x: x.spec, found) == OURS


def test_cut_as_the_rules_say_the_gradients_are_right():
    assert error(OURS) < 1e-5


def test_cut_alike_they_are_silently_wrong():
    share = error(ALIKE)
    print(f"cut alike, gradients are off by {share:.2f} of their norm")
    assert share > 0.1, f"jax {jax.__version__} has this right; shorten the docstring of rules.py"


def grouped(convolve):
    """How far the gradient of a depthwise kernel on a mesh is from the one on one device."""

    def loss(kernel, x):
        y = convolve(
            x, kernel, (1, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=WIDTH,
        )  # fmt: skip
        return jnp.mean(jnp.square(y))

    rng = np.random.default_rng(0)
    kernel, x = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((3, 3, 1, WIDTH), (BATCH, 4, 4, WIDTH))
    )
    mesh = make_mesh(MESH)
    where = NamedSharding(mesh, P()), NamedSharding(mesh, P(("data", "fsdp")))
    found, expected = on(MESH, jax.grad(loss), where)(kernel, x), jax.grad(loss)(kernel, x)
    return float(jnp.linalg.norm(jax.device_get(found) - expected) / jnp.linalg.norm(expected))


def test_gradients_of_grouped_kernels_are_right():
    assert grouped(convolve) < 1e-5


def test_those_of_the_plain_operation_are_silently_wrong():
    share = grouped(jax.lax.conv_general_dilated)
    print(f"gradients of grouped kernels are off by {share:.2f} of their norm")
    assert share > 0.1, f"jax {jax.__version__} has this right; drop layers/grouped.py"
