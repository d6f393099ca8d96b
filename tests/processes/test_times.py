"""Time samplers: densities, shares of the cases, and what each case does to each stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmjax.errors import UserError
from mmjax.processes.clean import Clean
from mmjax.processes.flow import Flow
from mmjax.processes.times import Discrete, LogitNormal, TimeSampler, Uniform, shift_time
from mmjax.streams import StreamSpec

BATCH = 4000


def spec(name, grid, process, drop_rate=0.0):
    facts = {"channels": 1, "vocabulary": None, "axes": ("time",)}
    positions = np.zeros((*grid, 1), np.float32)
    return StreamSpec(
        name, name, grid, grid_positions=positions, process=process, drop_rate=drop_rate, **facts
    )


SPECS = {
    "video": spec("video", (4, 2, 2), Flow()),
    "audio": spec("audio", (6,), Flow()),
    "text": spec("text", (3,), Clean(), drop_rate=0.25),
}


def draw(sampler, batch=BATCH, specs=SPECS):
    times, keep = jax.jit(lambda key: sampler.draw(key, specs, batch))(jax.random.key(0))
    return jax.tree.map(np.asarray, (times, keep))


def close(share, expected):
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / BATCH) + 1e-9


def test_densities():
    key = jax.random.key(0)
    uniform = np.sort(Uniform().draw(key, (BATCH,)))
    np.testing.assert_allclose(uniform, np.linspace(0, 1, BATCH), atol=0.03)
    normal = np.asarray(LogitNormal(0.5, 2.0).draw(key, (BATCH,)))
    logits = np.log(normal / (1 - normal))
    assert abs(logits.mean() - 0.5) < 0.15 and abs(logits.std() - 2.0) < 0.1
    steps = np.asarray(Discrete(10).draw(key, (BATCH,))) * 10
    values, counts = np.unique(np.round(steps).astype(int), return_counts=True)
    assert values.tolist() == list(range(1, 11)) and counts.min() > 300
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-5)


def test_shift_keeps_the_ends_and_moves_the_middle_towards_noise():
    np.testing.assert_allclose(shift_time(jnp.array([0.0, 0.5, 1.0]), 3.0), [0.0, 0.75, 1.0])
    key = jax.random.key(0)
    shifted = Uniform(shift=3.0).draw(key, (BATCH,))
    np.testing.assert_allclose(shifted, shift_time(Uniform().draw(key, (BATCH,)), 3.0))
    assert abs(np.median(shifted) - 0.75) < 0.03


def test_all_streams_share_one_time_by_default():
    times, _ = draw(TimeSampler())
    assert set(times) == {"video", "audio"}  # a condition has no time
    np.testing.assert_array_equal(times["video"], times["audio"])


def test_shares_of_the_cases():
    sampler = TimeSampler(
        shared=4.0, independent=1.0, clean={"video": 2.0, "audio": 1.0}, noise={"audio": 2.0}
    )
    times, _ = draw(sampler)
    video, audio = times["video"], times["audio"]
    close((video == audio).mean(), 0.4)
    close((video == 0.0).mean(), 0.2)
    close((audio == 0.0).mean(), 0.1)
    close((audio == 1.0).mean(), 0.2)
    assert not (video == 1.0).any()
    both = (video > 0) & (audio > 0) & (audio < 1) & (video != audio)
    close(both.mean(), 0.1)
    assert abs(np.corrcoef(video[both], audio[both])[0, 1]) < 0.2


def test_a_case_of_weight_zero_never_happens():
    times, _ = draw(TimeSampler(shared=0.0, clean={"video": 0.0, "audio": 1.0}))
    assert (times["audio"] == 0.0).all() and (times["video"] > 0.0).all()


def test_prefix_holds_the_first_frames_clean_in_its_share_of_examples():
    times, _ = draw(TimeSampler(shared=1.0, prefix={"video": 1.0}, prefix_length=2))
    video = times["video"]
    assert video.shape == (BATCH, 4, 1, 1) and times["audio"].shape == (BATCH,)
    held = video[:, 0, 0, 0] == 0.0
    close(held.mean(), 0.5)
    np.testing.assert_array_equal(video[:, 1, 0, 0] == 0.0, held)
    rest = video[:, 2:, 0, 0]
    np.testing.assert_array_equal(rest, np.repeat(times["audio"][:, None], 2, axis=1))


def test_frames_have_times_of_their_own_unless_the_stream_is_held():
    sampler = TimeSampler(
        shared=2.0, clean={"video": 1.0}, noise={"video": 1.0}, per_frame=("video",)
    )
    video = draw(sampler)[0]["video"]
    assert video.shape == (BATCH, 4, 1, 1)
    frames = video[..., 0, 0]
    close((frames == 0.0).all(1).mean(), 0.25)
    close((frames == 1.0).all(1).mean(), 0.25)
    free = frames[(frames > 0).all(1) & (frames < 1).all(1)]
    assert (np.ptp(free, axis=1) > 0).all()
    assert abs(np.corrcoef(free[:, 0], free[:, 1])[0, 1]) < 0.1


def test_conditions_are_kept_at_their_rate():
    _, keep = draw(TimeSampler())
    close(keep["text"].mean(), 0.75)
    assert keep["video"].all() and keep["audio"].all()


def test_another_stream_does_not_move_the_draws_of_the_first():
    alone, _ = draw(TimeSampler(shared=0.0, independent=1.0), specs={"video": SPECS["video"]})
    both, _ = draw(TimeSampler(shared=0.0, independent=1.0))
    np.testing.assert_array_equal(alone["video"], both["video"])


@pytest.mark.parametrize("field", ["clean", "noise", "prefix", "per_frame"])
@pytest.mark.parametrize("name", ["vidio", "text"])
def test_the_name_of_no_restored_stream_is_a_users_mistake(field, name):
    value = (name,) if field == "per_frame" else {name: 1.0}
    with pytest.raises(UserError, match=f"times.{field}: '{name}'.*video, audio"):
        TimeSampler(**{field: value}).draw(jax.random.key(0), SPECS, 2)


@pytest.mark.parametrize("weights", [{"shared": 0.0}, {"independent": -1.0}])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        TimeSampler(**weights)
