import jax
import jax.numpy as jnp
import numpy as np

from mmjax.layers.embedding import Clock, Pooled, StreamInput, TimeEmbedding
from mmjax.streams import Stream


def test_the_clock_reads_published_steps():
    time = jnp.array([[0.001, 1.0]])
    steps = Clock(scale=1000.0, offset=-1.0, features=4)(time)
    expected = [[np.cos(s), np.cos(s / 100), np.sin(s), np.sin(s / 100)] for s in (0.0, 999.0)]
    np.testing.assert_allclose(steps[0], expected, atol=1e-4)


def test_time_embedding_is_linear_silu_linear():
    module = TimeEmbedding(6, Clock(features=8))
    time = jnp.array([[0.1, 0.7]])
    variables = module.init(jax.random.key(0), time)
    first, second = variables["params"]["in"], variables["params"]["out"]
    x = np.asarray(Clock(features=8)(time)) @ first["kernel"] + first["bias"]
    expected = (x / (1 + np.exp(-x))) @ second["kernel"] + second["bias"]
    np.testing.assert_allclose(module.apply(variables, time), expected, atol=1e-6)


def test_codes_of_a_patch_add_up_and_each_cell_has_its_rows():
    module = StreamInput(3, vocabulary=5)
    codes = jnp.array([[[0, 4], [4, 0]]])
    variables = module.init(jax.random.key(0), codes)
    table = np.asarray(variables["params"]["table"])
    assert table.shape == (10, 3)
    out = module.apply(variables, codes)
    np.testing.assert_allclose(out[0], [table[0] + table[9], table[4] + table[5]], atol=1e-7)


def test_a_pooled_stream_is_the_mean_of_its_content_or_the_learned_null():
    values = jax.random.normal(jax.random.key(0), (2, 3, 4))
    mask = jnp.array([[True, True, False], [False] * 3])
    stream = Stream(values, jnp.zeros((2,)), mask, jnp.zeros((2, 3, 1)))
    module = Pooled(6)
    variables = module.init(jax.random.key(1), stream)
    linear = variables["params"]["input"]["linear"]
    expected = (np.asarray(values[0, :2]) @ linear["kernel"] + linear["bias"]).mean(0)
    out = module.apply(variables, stream)
    np.testing.assert_allclose(out[0, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(out[1, 0], variables["params"]["null"])
