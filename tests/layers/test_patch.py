import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers.patch import patch_stream, patchify, unpatchify
from mmjax.streams import Stream


@pytest.mark.parametrize(
    ("grid", "patch"), [((6,), (2,)), ((4, 6), (2, 3)), ((2, 4, 4), (1, 2, 2)), ((3, 2), (1, 1))]
)
def test_patches_hold_their_cells_and_go_back(grid, patch):
    x = jnp.arange(2 * np.prod(grid) * 3, dtype=jnp.float32).reshape(2, *grid, 3)
    patches = patchify(x, patch)
    assert patches.shape == (2, *np.floor_divide(grid, patch), np.prod(patch) * 3)
    last = np.asarray(x)[(1, *(slice(g - p, g) for g, p in zip(grid, patch, strict=True)))]
    np.testing.assert_array_equal(patches[(1, *(-1,) * len(grid))], last.ravel())
    np.testing.assert_array_equal(unpatchify(patches, patch), x)


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"patch \(2, 4\) does not divide the grid \(4, 6\)"):
        patchify(jnp.ones((1, 4, 6, 1)), (2, 4))
    with pytest.raises(ValueError, match="6 features"):
        unpatchify(jnp.ones((1, 2, 2, 6)), (2, 2))


def test_a_stream_on_the_grid_of_its_patches():
    places = jnp.stack(jnp.meshgrid(jnp.arange(2.0), jnp.arange(4.0), indexing="ij"), -1)
    stream = Stream(
        values=jnp.arange(8).reshape(1, 2, 4),
        time=jnp.array([[[0.2], [0.6]]]),
        mask=jnp.array([[[True, False, False, False], [True, True, True, True]]]),
        positions=places[None],
        segments=jnp.array([[[0, 0, 1, 1], [0, 0, 1, 1]]]),
    )
    patched = patch_stream(stream, (1, 2), discrete=True)
    np.testing.assert_array_equal(patched.values[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    np.testing.assert_array_equal(patched.mask[0], [[True, False], [True, True]])
    np.testing.assert_array_equal(patched.positions[0, :, :, 1], [[0.5, 2.5]] * 2)
    np.testing.assert_array_equal(patched.segments[0], [[0, 1]] * 2)
    np.testing.assert_array_equal(patched.time, stream.time)
    mean = patch_stream(stream, (2, 2), discrete=True).time
    np.testing.assert_allclose(mean, [[[0.4]]])
