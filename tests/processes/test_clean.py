"""A condition stays as it is and is not predicted."""

import jax
import jax.numpy as jnp
import pytest

from mmjax.processes.clean import Clean


def test_a_condition_is_untouched_and_has_no_loss(make_stream):
    stream = make_stream(jnp.ones((2, 3, 1)))
    seen, target = Clean().corrupt(jax.random.key(0), stream, jnp.ones(2))
    assert seen is stream and target is None and Clean().observe(stream) is stream
    with pytest.raises(ValueError, match="no loss"):
        Clean().loss(stream.values, target, stream.time)
