"""The reducer against sums written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.objectives.base import Term
from mmjax.training.reduce import TIME_BUCKETS, counts_of, finite, reduce_terms

VALUES = np.random.default_rng(0).uniform(1, 2, (3, 4)).astype(np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)


def loss(**terms):
    return float(reduce_terms(terms, None)[0])


def test_per_token_every_value_weighs_the_same():
    assert loss(a=Term(jnp.asarray(VALUES))) == pytest.approx(VALUES.mean())
    term = Term(jnp.asarray(VALUES), jnp.asarray(MASK))
    assert loss(a=term) == pytest.approx(VALUES[MASK].mean())


def test_per_sample_every_example_weighs_the_same_and_an_empty_one_nothing():
    term = Term(jnp.asarray(VALUES), jnp.asarray(MASK), per="sample")
    assert loss(a=term) == pytest.approx((VALUES[0].mean() + VALUES[1, 0]) / 2)
    assert loss(a=term) != pytest.approx(VALUES[MASK].mean())


def test_terms_add_up_by_their_weights():
    terms = {
        "a": Term(jnp.asarray(VALUES), weight=2.0),
        "b": Term(jnp.asarray(VALUES[:, 0]), weight=jnp.asarray(0.5)),
        "c": Term(jnp.asarray(3.0)),
    }
    expected = 2 * VALUES.mean() + 0.5 * VALUES[:, 0].mean() + 3
    total, logged, good = reduce_terms(terms, None)
    assert float(total) == pytest.approx(expected) and bool(good)
    assert set(logged) == {"loss", "loss/a", "loss/b", "loss/c"}
    assert float(logged["loss/a"][0] / logged["loss/a"][1]) == pytest.approx(VALUES.mean())


def test_a_mask_of_examples_covers_their_tokens():
    rows = jnp.array([True, False, True])
    assert loss(a=Term(jnp.asarray(VALUES), rows)) == pytest.approx(VALUES[[0, 2]].mean())
    square = jnp.asarray(VALUES[:, :3])  # rows and columns of one length must not be confused
    assert loss(a=Term(square, rows)) == pytest.approx(VALUES[[0, 2], :3].mean())
    columns = jnp.array([[True, False, True]])
    assert loss(a=Term(square, columns)) == pytest.approx(VALUES[:, [0, 2]].mean())


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("per", ["token", "sample"])
def test_what_is_masked_may_be_anything(value, per):
    values = np.where(MASK, VALUES, value).astype(np.float32)

    def masked(values):
        return reduce_terms({"a": Term(values, jnp.asarray(MASK), per=per)}, None)

    total, _, good = masked(jnp.asarray(values))
    assert bool(good) and np.isfinite(total)
    gradient = jax.grad(lambda v: masked(v)[0])(jnp.asarray(values))
    assert np.isfinite(gradient).all() and (np.asarray(gradient)[~MASK] == 0).all()


def test_a_term_that_counts_nothing_is_zero_and_a_bad_one_is_told():
    empty = Term(jnp.asarray(VALUES), jnp.zeros((3, 4), bool))
    assert loss(a=empty) == 0.0
    total, _, good = reduce_terms({"a": Term(jnp.asarray(VALUES).at[0, 0].set(jnp.nan))}, None)
    assert not good


@pytest.mark.parametrize("per", ["token", "sample"])
def test_parts_divided_by_the_whole_batchs_counts_add_up(per):
    def term(rows):
        return {"a": Term(jnp.asarray(VALUES[rows]), jnp.asarray(MASK[rows]), per=per)}

    parts = [slice(0, 1), slice(1, 2), slice(2, 3)]
    counts = {"a": sum(counts_of(term(rows))["a"] for rows in parts)}
    total = sum(float(reduce_terms(term(rows), counts, 3)[0]) for rows in parts)
    assert total == pytest.approx(loss(**term(slice(None))))
    logged = [reduce_terms(term(rows), counts, 3)[1]["loss"] for rows in parts]
    found = sum(float(t) for t, _ in logged) / sum(float(c) for _, c in logged)
    assert found == pytest.approx(total)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 1)])
def test_the_loss_is_logged_by_time(shape):
    time = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    time.flat[0] = 1.0  # belongs to the last bucket
    term = Term(jnp.asarray(VALUES), jnp.asarray(MASK), time=jnp.asarray(time))
    _, logged, _ = reduce_terms({"a": term}, None)
    by_value = np.broadcast_to(time.reshape(time.shape + (1,) * (2 - time.ndim)), VALUES.shape)
    for index in range(TIME_BUCKETS):
        low, high = index / TIME_BUCKETS, (index + 1) / TIME_BUCKETS
        inside = MASK & (by_value >= low) & ((by_value < high) | (high == 1.0))
        total, count = logged[f"loss/a/time_{low:.2f}"]
        assert float(count) == inside.sum()
        assert float(total) == pytest.approx(VALUES[inside].sum(), abs=1e-6)


def test_half_precision_is_summed_in_single():
    values = jnp.full((64, 64), 1.001, jnp.bfloat16)
    total, _, _ = reduce_terms({"a": Term(values)}, None)
    assert total.dtype == jnp.float32
    assert float(total) == pytest.approx(float(values[0, 0]), rel=1e-6)


def test_finite_looks_at_floats_alone():
    good = {"a": jnp.ones(2), "n": jnp.array(3), "key": jax.random.key(0), "none": None}
    assert bool(finite(good)) and bool(finite({}))
    assert not finite({**good, "b": jnp.array([1.0, jnp.inf])})
