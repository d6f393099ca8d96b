"""Attention over tokens that the mesh cuts is the attention over all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.context_attention import attend
from mmjax.sharding.mesh import MeshSpec
from tests.sharding.meshes import on

BATCH, HEADS, SIZE = 4, 4, 8
QUERIES, KEYS = (8, 4), (4, 8, 4)  # tokens of each lane
MESHES = {
    "context 2": MeshSpec(context=2),
    "context 2, tensor 2": MeshSpec(fsdp=2, context=2, tensor=2),
    "context 4": MeshSpec(context=4),
}
GROUPS = {  # key heads, of different number for each kind of mask
    "nothing": 4, "keys": 1, "pairs of all examples": 2, "pairs of each example": 4,
}  # fmt: skip


def lanes(lengths, heads, seed):
    rng = np.random.default_rng(seed)
    shapes = [(BATCH, n, heads, SIZE) for n in lengths]
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def masks():
    rng = np.random.default_rng(3)
    rows = rng.random((BATCH, 1, sum(QUERIES), sum(KEYS))) < 0.5
    rows[1, 0, 3] = False  # a query that sees nothing
    return {
        "nothing": None,
        "keys": jnp.asarray(rows[:, :, :1]),
        "pairs of all examples": jnp.tri(sum(QUERIES), sum(KEYS), dtype=bool)[None, None],
        "pairs of each example": jnp.asarray(rows),
    }


def whole(queries, keys, values, mask):
    """The same on one device: all lanes in one sequence."""
    joined = (jnp.concatenate(x, axis=1) for x in (queries, keys, values))
    return jnp.split(attention(*joined, mask), np.cumsum(QUERIES)[:-1], axis=1)


def with_gradients(run, mask):
    """The outputs, and the gradients of a weighted sum of them."""

    def total(parts):
        found = run(*parts, mask)
        weights = lanes(QUERIES, HEADS, seed=9)
        return sum(jnp.sum(x * w) for x, w in zip(found, weights, strict=True)), found

    return lambda *parts: jax.value_and_grad(total, has_aux=True)(parts)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("kind", GROUPS)
def test_as_over_whole_sequences(kind, mesh):
    groups = GROUPS[kind]
    inputs = lanes(QUERIES, HEADS, 0), lanes(KEYS, groups, 1), lanes(KEYS, groups, 2)
    mask = masks()[kind]
    found = on(MESHES[mesh], with_gradients(attend, mask))(*inputs)
    expected = jax.jit(with_gradients(whole, mask))(*inputs)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_every_token_travels_once_each_way():
    inputs = lanes(QUERIES, HEADS, 0), lanes(KEYS, HEADS, 1), lanes(KEYS, HEADS, 2)
    run = on(MESHES["context 2"], lambda q, k, v: attend(q, k, v, None))
    text = run.lower(*inputs).as_text()
    # queries, keys, values there; the result back; nothing else between devices
    assert text.count('"stablehlo.all_to_all"') == 4
    assert not any(kind in text for kind in ("all_gather", "all_reduce", "permute"))


def test_a_second_derivative():
    inputs = lanes(QUERIES, HEADS, 0), lanes(KEYS, HEADS, 1), lanes(KEYS, HEADS, 2)

    def second(attend):
        def along(q):
            first = lambda q: jax.jvp(lambda q: attend(q, *inputs[1:]), (q,), (q,))[1]  # noqa: E731
            return jax.jvp(first, (q,), (q,))[1]

        return along

    found = on(MESHES["context 2"], second(lambda *x: attend(*x, None, higher_order=True)))
    expected = second(
        lambda *x: jnp.split(
            attention(*(jnp.concatenate(y, axis=1) for y in x), higher_order=True), [8], axis=1
        )
    )(inputs[0])
    for one, other in zip(found(inputs[0]), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_lanes_that_cannot_be_cut_are_not():
    inputs = tuple(lanes((3,), HEADS, seed) for seed in range(3))
    (found,) = on(MESHES["context 2"], lambda *x: attend(*x, None))(*inputs)
    expected = attention(*(x[0] for x in inputs))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_heads_that_the_parts_do_not_divide_are_refused():
    inputs = tuple(lanes((4,), 3, seed) for seed in range(3))
    with pytest.raises(UserError, match=r"config\.mesh\.context: 2 does not divide the 3 heads"):
        on(MESHES["context 2"], lambda *x: attend(*x, None))(*inputs)
