"""Quantisers against their equations in NumPy: restarts, relaxed choices, dropped levels, use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.quantisers.base import perplexity
from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.factorised import Factorised
from mmjax.codecs.quantisers.finite_scalar import FiniteScalar
from mmjax.codecs.quantisers.gumbel import Gumbel
from mmjax.codecs.quantisers.lookup_free import LookupFree
from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.quantisers.residual import Residual
from mmjax.errors import UserError

X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
MODULES = {
    "nearest": Nearest(8, 3),
    "unit": Nearest(8, 3, unit=True),
    "moving average": MovingAverage(8, 3),
    "factorised": Factorised(8, 2, 3),
    "residual": Residual(Nearest(8, 3), 2),
    "finite scalar": FiniteScalar((3, 5, 4)),
    "lookup free": LookupFree(3),
}


def start(module, x=X):
    keys = {"params": jax.random.key(0), "codes": jax.random.key(1)}
    return module.init(keys, jnp.asarray(x))


@pytest.mark.parametrize("name", MODULES)
def test_codes_give_the_values_back_and_the_gradient_passes(name):
    module = MODULES[name]
    variables = start(module)
    found = module.apply(variables, jnp.asarray(X))
    again = module.apply(variables, found.codes, method="lookup")
    np.testing.assert_allclose(found.values, again, atol=1e-5)
    assert found.codes.shape[:2] == (4, 5) and found.codes.dtype == jnp.int32
    slope = jax.grad(lambda x: jnp.sum(module.apply(variables, x).values * (1 + X)))(jnp.asarray(X))
    if name in ("factorised", "finite scalar"):
        assert np.any(slope)
    else:
        np.testing.assert_allclose(slope, 1 + X, atol=1e-5)


def test_rare_entries_restart_at_distinct_kept_vectors():
    module = MovingAverage(12, 3, decay=0.5, reset=0.9)
    variables, rows = start(module), X.reshape(-1, 3)
    mask = np.arange(20) < 6
    _, new = module.apply(
        variables, jnp.asarray(rows), train=True, mask=jnp.asarray(mask),
        mutable=["codebook"], rngs={"codes": jax.random.key(3)},
    )  # fmt: skip
    book = new["codebook"]
    fresh = np.isclose(book["counts"], 0.9) & np.isclose(book["sums"], 0.9 * book["vectors"]).all(1)
    taken = [int(np.argmin(np.abs(rows - row).sum(1))) for row in book["vectors"][fresh]]
    np.testing.assert_allclose(rows[taken], book["vectors"][fresh], atol=1e-6)
    assert len(set(taken)) == len(taken) == 6 and max(taken) < 6


def test_a_batch_without_kept_vectors_moves_nothing():
    module = MovingAverage(8, 3, reset=2.0)
    variables = start(module)
    _, new = module.apply(
        variables, jnp.asarray(X), train=True, mask=jnp.zeros((4, 5), bool),
        mutable=["codebook"], rngs={"codes": jax.random.key(3)},
    )  # fmt: skip
    assert all(
        jax.tree.leaves(jax.tree.map(np.array_equal, new["codebook"], variables["codebook"]))
    )


def test_dropped_levels_are_per_example_and_add_nothing():
    module = Residual(Nearest(8, 3), 4, dropout=0.5)
    variables = start(module)
    options = {"train": True, "rngs": {"codes": jax.random.key(7)}}
    x = jnp.asarray(np.tile(X, (50, 1, 1)))
    found = module.apply(variables, x, **options)
    kept = np.asarray((found.codes >= 0).sum(-1))
    assert (kept == kept[:, :1]).all(), "levels are dropped for whole examples"
    shares = np.bincount(kept[:, 0], minlength=5) / len(kept)
    np.testing.assert_allclose(shares, [0, 0.125, 0.125, 0.125, 0.625], atol=0.1)
    np.testing.assert_allclose(
        found.values, module.apply(variables, found.codes, method="lookup"), atol=1e-5
    )
    first = module.apply(variables, found.codes[..., :1], method="lookup")
    only = kept[:, 0] == 1
    np.testing.assert_allclose(found.values[only], first[only], atol=1e-5)


def test_a_hard_choice_is_a_draw_by_the_logits():
    logits = np.asarray([0.5, -1.0, 1.0], np.float32)
    many = jnp.broadcast_to(logits, (20_000, 3))
    module = Gumbel(3, 2, temperature=3.0, hard=True)
    variables = start(module)
    found = module.apply(variables, many, train=True, rngs={"codes": jax.random.key(5)})
    book = variables["params"]["codebook"]
    np.testing.assert_allclose(found.values, book[found.codes], atol=1e-5)
    chances = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(np.bincount(found.codes) / 20_000, chances, atol=0.02)
    divergence = (chances * np.log(3 * chances)).sum()
    np.testing.assert_allclose(found.losses["uniform"], divergence, atol=1e-5)
    np.testing.assert_array_equal(module.apply(variables, many).codes, 2)


def test_the_use_of_codebooks():
    assert perplexity(jnp.asarray([0, 0, 1, 1, 2, 2, -1]), 8) == pytest.approx(3.0, rel=1e-5)
    module = Residual(Nearest(8, 3), 2)
    found = module.apply(start(module), jnp.asarray(X), kept=jnp.asarray([1, 1, 2, 2]))
    first = [
        perplexity(found.codes[..., 0].ravel(), 8),
        perplexity(found.codes[2:, :, 1].ravel(), 8),
    ]
    assert found.use()["perplexity"] == pytest.approx(np.mean(first), rel=1e-5)


@pytest.mark.parametrize("module", [FiniteScalar((3, 5)), LookupFree(2)])
def test_vectors_of_another_length_are_refused(module):
    with pytest.raises(UserError, match="codes of 2 digits .* not 3; give the codec size=2"):
        module.apply({}, jnp.asarray(X))
