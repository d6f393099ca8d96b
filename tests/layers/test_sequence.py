import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.layers import sequence
from mmjax.layers.sequence import Part
from mmjax.streams import Stream


def part(length, program="full", axes=("time",), mask=None, segments=None, seconds=None):
    seconds = np.arange(length) if seconds is None else seconds
    return Part(
        Stream(
            values=jnp.zeros((1, length, 1)),
            time=jnp.zeros((1,)),
            mask=jnp.ones((1, length), bool) if mask is None else jnp.asarray([mask]),
            positions=jnp.asarray(seconds, jnp.float32)[None, :, None],
            segments=None if segments is None else jnp.asarray([segments], jnp.int32),
        ),
        axes,
        program,
    )


def seen(mask, length):
    return np.broadcast_to(np.asarray(mask)[0, 0], (length, np.asarray(mask).shape[-1])).astype(int)


def test_padding_is_seen_by_none():
    mask = seen(sequence.self_visible([part(2), part(2, mask=[True, False])]), 4)
    np.testing.assert_array_equal(mask, [[1, 1, 1, 0]] * 4)


def test_nothing_passes_back_to_or_from_a_causal_stream():
    mask = seen(sequence.self_visible([part(1), part(2, "causal"), part(1), part(1, "causal")]), 5)
    full, after = [1, 0, 0, 1, 0], [1, 1, 1, 1, 0]
    np.testing.assert_array_equal(mask, [full, [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], after, [1] * 5])


def test_frame_causal_tokens_see_whole_frames_across_streams():
    text = part(1, axes=("index",))
    picture = part(4, "frame_causal", seconds=[0, 0, 1, 1])
    sound = part(2, "frame_causal", seconds=[0.5, 1])
    mask = seen(sequence.self_visible([text, picture, sound]), 7)
    early, late, nothing = [1, 1, 1, 0, 0, 0, 0], [1] * 7, [1] + [0] * 6
    middle = [1, 1, 1, 0, 0, 1, 0]
    np.testing.assert_array_equal(mask, [nothing, early, early, late, late, middle, late])


def test_segments_are_separate_across_streams():
    mask = seen(sequence.self_visible([part(3, segments=[0, 0, 1]), part(2, segments=[0, 1])]), 5)
    expected = [[1, 1, 0, 1, 0]] * 2 + [[0, 0, 1, 0, 1], [1, 1, 0, 1, 0], [0, 0, 1, 0, 1]]
    np.testing.assert_array_equal(mask, expected)


def test_a_cache_is_seen_up_to_the_last_new_token():
    filled = jnp.asarray([[True, False, True, True, True, True]])
    mask = sequence.cache_visible([part(2, "causal")], filled, jnp.asarray(2))
    np.testing.assert_array_equal(seen(mask, 2), [[1, 0, 1, 0, 0, 0], [1, 0, 1, 1, 0, 0]])
    mask = sequence.cache_visible([part(2)], filled, jnp.asarray(2))
    np.testing.assert_array_equal(seen(mask, 2), [[1, 0, 1, 1, 0, 0]] * 2)
    mask = sequence.cache_visible([part(1), part(1, "causal")], filled, jnp.asarray(2))
    np.testing.assert_array_equal(seen(mask, 2), [[1, 0, 1, 0, 0, 0], [1, 0, 1, 1, 0, 0]])


def test_impossible_programs_are_refused():
    with pytest.raises(ValueError, match="attention programs \\['casual'\\]"):
        sequence.self_visible([part(2, "casual")])
