import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.positions import Rotary, SinCos, sinusoids


def test_sinusoids_against_numpy():
    values = np.array([0.0, 1.0, 37.5])
    rates = 1 / 10000 ** (np.arange(4) / 4)
    expected = np.concatenate([np.sin(values[:, None] * rates), np.cos(values[:, None] * rates)], 1)
    np.testing.assert_allclose(sinusoids(jnp.asarray(values), 8), expected, atol=2e-6)
    swapped = sinusoids(jnp.asarray(values), 8, cosine_first=True)
    np.testing.assert_allclose(swapped, np.roll(expected, 4, axis=1), atol=2e-6)
    slowest = sinusoids(jnp.asarray([1.0]), 8, shift=1.0)[0, 3]
    np.testing.assert_allclose(slowest, np.sin(1e-4), rtol=1e-4)


@pytest.mark.parametrize("axes", [("time",), ("width", "height"), ("time", "height", "width")])
def test_absolute_positions_give_each_axis_its_share(axes):
    grid = np.stack(np.meshgrid(*[np.arange(3) * 8 + 4.0] * len(axes), indexing="ij"), -1)
    positions = jnp.asarray(grid.reshape(1, -1, len(axes)), jnp.float32)
    named = tuple(sorted(axes))
    width = 4 * len(axes)
    out = SinCos(axes, (8.0,) * len(axes), origin=0.5).embed(positions, named, width)
    for i, axis in enumerate(axes):
        index = np.round(np.asarray(positions)[0, :, named.index(axis)] / 8 - 0.5)
        share = np.asarray(out)[0, :, 4 * i : 4 * i + 4]
        expected = np.stack([f(index / r) for f in (np.sin, np.cos) for r in (1, 100)], 1)
        np.testing.assert_allclose(share, expected, atol=1e-6)


def test_absolute_positions_without_the_axis_are_zero():
    out = SinCos(("height", "width"), (1.0, 1.0)).embed(jnp.ones((1, 3, 1)), ("width",), 8)
    np.testing.assert_array_equal(out[..., :4], 0.0)
    assert np.abs(out[..., 4:]).min() > 0
    with pytest.raises(ValueError, match="width 10"):
        SinCos(("height", "width"), (1.0, 1.0)).embed(jnp.ones((1, 3, 1)), ("width",), 10)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_against_complex_numbers(interleaved):
    rope = Rotary(("time", "height"), (4, 2), (0.5, 2.0), theta=100.0, interleaved=interleaved)
    keys = jax.random.split(jax.random.key(0), 2)
    positions = jax.random.uniform(keys[0], (2, 5, 2)) * 10
    x = np.asarray(jax.random.normal(keys[1], (2, 5, 3, 8)))
    out = np.asarray(rope.rotate(jnp.asarray(x), rope.angles(positions, ("height", "time"))))
    place = np.asarray(positions, np.float64)
    angles = np.stack([place[..., 1] / 0.5, place[..., 1] / 0.5 / 10, place[..., 0] / 2.0], axis=-1)
    turn = np.exp(1j * angles)[:, :, None]
    first, second = (slice(0, 6, 2), slice(1, 6, 2)) if interleaved else (slice(0, 3), slice(3, 6))
    expected = (x[..., first] + 1j * x[..., second]) * turn
    np.testing.assert_allclose(out[..., first], expected.real, atol=1e-5)
    np.testing.assert_allclose(out[..., second], expected.imag, atol=1e-5)
    np.testing.assert_array_equal(out[..., 6:], x[..., 6:])


def test_rotary_scores_depend_on_the_distance_only():
    rope = Rotary(("time",), (8,), (0.04,))
    x = jax.random.normal(jax.random.key(0), (1, 1, 1, 8))

    def score(a, b):
        turned = [
            rope.rotate(x, rope.angles(jnp.full((1, 1, 1), t, jnp.float32), ("time",)))
            for t in (a, b)
        ]
        return float(jnp.vdot(*turned))

    assert score(0.2, 0.6) == pytest.approx(score(1.0, 1.4), abs=1e-4)
    assert abs(score(0.2, 0.6) - score(0.2, 1.0)) > 1e-2


def test_rotary_larger_than_the_head_is_refused():
    rope = Rotary(("time",), (16,), (1.0,))
    with pytest.raises(ValueError, match="exceed the head's 8 channels"):
        rope.rotate(jnp.ones((1, 1, 1, 8)), rope.angles(jnp.ones((1, 1, 1)), ("time",)))
