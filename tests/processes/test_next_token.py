"""Next-code prediction: what is read, what is predicted, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.processes.next_token import NextToken


def test_each_index_reads_the_code_before(make_stream):
    codes = [[5, 6, 7, 8], [1, 2, 3, 4]]
    stream = make_stream(np.array(codes, np.int32), discrete=True)
    seen, target = NextToken(begin=9).corrupt(jax.random.key(0), stream, jnp.zeros(2))
    assert seen.values.tolist() == [[9, 5, 6, 7], [9, 1, 2, 3]]
    assert target.tolist() == codes
    observed = NextToken(begin=9).observe(stream)
    np.testing.assert_array_equal(observed.values, seen.values)


def test_parallel_codebooks_move_together():
    codes = np.arange(12).reshape(1, 3, 4)
    shifted = NextToken(begin=99).shift(jnp.asarray(codes))
    assert shifted[0, 0].tolist() == [99] * 4
    np.testing.assert_array_equal(shifted[:, 1:], codes[:, :-1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 5)).astype(np.float32)
    codes = rng.integers(0, 5, (2, 3)).astype(np.int32)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.full((2, 3, 5), smoothing / 5)
    np.put_along_axis(wanted, codes[..., None], 1 - smoothing + smoothing / 5, -1)
    found = NextToken(label_smoothing=smoothing).loss(
        jnp.asarray(logits), jnp.asarray(codes), jnp.zeros(2)
    )
    np.testing.assert_allclose(found, -(wanted * log_p).sum(-1), rtol=1e-5)
