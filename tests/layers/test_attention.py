import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.attention import attention


def reference(queries, keys, values, mask):
    """One query head at a time, in float64."""
    batch, length, heads, size = queries.shape
    share = heads // keys.shape[2]
    out = np.zeros(queries.shape)
    mask = np.broadcast_to(mask, (batch, 1, length, keys.shape[1]))
    for b in range(batch):
        for h in range(heads):
            scores = queries[b, :, h] @ keys[b, :, h // share].T / np.sqrt(size)
            weights = np.where(mask[b, 0], np.exp(scores), 0.0)
            total = weights.sum(-1, keepdims=True)
            out[b, :, h] = weights @ values[b, :, h // share] / np.where(total > 0, total, 1)
    return out


def inputs(groups=2):
    keys = jax.random.split(jax.random.key(0), 4)
    q = jax.random.normal(keys[0], (2, 5, 4, 8))
    k = jax.random.normal(keys[1], (2, 7, groups, 8))
    v = jax.random.normal(keys[2], (2, 7, groups, 8))
    return q, k, v, jax.random.bernoulli(keys[3], 0.5, (2, 1, 5, 7)).at[0, 0, 2].set(False)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("masked", ["rows", "keys", "nothing"])
@pytest.mark.parametrize("higher_order", [False, True])
def test_against_numpy(groups, masked, higher_order):
    q, k, v, mask = inputs(groups)
    mask = {"rows": mask, "keys": mask[:, :, :1], "nothing": None}[masked]
    out = attention(q, k, v, mask, higher_order=higher_order)
    expected = reference(
        *(np.asarray(x, np.float64) for x in (q, k, v)), True if mask is None else np.asarray(mask)
    )
    np.testing.assert_allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize("masked", ["rows", "shared rows", "nothing"])
@pytest.mark.parametrize("examples", [1, 2])
def test_a_few_examples_at_a_time_give_the_same(monkeypatch, masked, examples):
    q, k, v, mask = (jnp.concatenate([x, 2 * x, x])[:5] for x in inputs())
    mask = {"rows": mask > 0, "shared rows": mask[:1] > 0, "nothing": None}[masked]
    whole = attention(q, k, v, mask)
    monkeypatch.setattr("mmjax.layers.attention._CACHED", examples * 5 * 4 * 7)
    assert "while" in jax.jit(attention).lower(q, k, v, mask).as_text()
    np.testing.assert_array_equal(attention(q, k, v, mask), whole)


def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients():
    q, k, v, mask = inputs()
    np.testing.assert_array_equal(attention(q, k, v, mask)[0, 2], 0.0)
    gradients = jax.grad(lambda *a: jnp.sum(attention(*a, mask) ** 2), argnums=(0, 1, 2))(q, k, v)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_array_equal(gradients[0][0, 2], 0.0)


def test_written_gradient_is_the_derivative_of_the_plain_form():
    q, k, v, mask = inputs()

    def loss(higher_order):
        return lambda *a: jnp.sum(jnp.sin(attention(*a, mask, higher_order=higher_order)))

    fast = jax.grad(loss(False), argnums=(0, 1, 2))(q, k, v)
    plain = jax.grad(loss(True), argnums=(0, 1, 2))(q, k, v)
    for got, expected in zip(fast, plain, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_second_derivatives_need_higher_order():
    q, k, v, mask = inputs()
    _, tangent = jax.jvp(lambda q: attention(q, k, v, mask, higher_order=True), (q,), (q,))
    assert np.isfinite(tangent).all()
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda q: attention(q, k, v, mask), (q,), (q,))


def test_half_precision_keeps_its_type_and_value():
    q, k, v, mask = inputs()
    half = attention(*(x.astype(jnp.bfloat16) for x in (q, k, v)), mask)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(np.float32), attention(q, k, v, mask), atol=0.03)


def test_uneven_groups_are_refused():
    q, k, v, _ = inputs(groups=3)
    with pytest.raises(ValueError, match="4 query heads do not share 3"):
        attention(q, k, v)
