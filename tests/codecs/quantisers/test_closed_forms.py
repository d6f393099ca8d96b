"""Quantisers against their equations in NumPy: restarts, dropped levels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.codecs.quantisers.ema import MovingAverage
from mmjax.codecs.quantisers.factorised import Factorised
from mmjax.codecs.quantisers.nearest import Nearest
from mmjax.codecs.quantisers.residual import Residual

X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
MODULES = {
    "nearest": Nearest(8, 3),
    "unit": Nearest(8, 3, unit=True),
    "moving average": MovingAverage(8, 3),
    "factorised": Factorised(8, 2, 3),
    "residual": Residual(Nearest(8, 3), 2),
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
    if name == "factorised":
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
