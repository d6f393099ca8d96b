"""Made motion: the same for an index, and features from which the walk itself comes back."""

import dataclasses

import numpy as np
import pytest

from mmjax.data import walks
from mmjax.data.walks import FEATURES, FEET, FPS, PARENTS, Gait, Walks, features, pose
from mmjax.errors import UserError

GAIT = Gait(speed=1.3, turning=0.6, swing=0.5, phase=1.0)
HEADING, JOINTS, LOCAL = pose(GAIT, 41)
FOUND = features(HEADING, JOINTS, LOCAL)


def test_records_are_standardised_and_depend_on_the_index_alone():
    source = Walks("train", frames=16)
    record = source[7]
    assert record["motion"].shape == (16, FEATURES) and record["motion"].dtype == np.float32
    again = Walks("train", frames=16)[7]
    assert np.array_equal(record["motion"], again["motion"]) and record["text"] == again["text"]
    rows = np.concatenate([source[i]["motion"] for i in range(60)])
    assert np.abs(rows.mean(0)).max() < 0.5 and np.isfinite(rows).all()
    moving = rows.std(0) > 1e-3
    assert moving.sum() > 100 and 0.5 < np.median(rows.std(0)[moving]) < 1.5
    assert not np.array_equal(Walks("test", frames=16)[7]["motion"], record["motion"])


def test_bones_keep_their_length_and_a_foot_is_on_the_ground():
    for joint, parent in enumerate(PARENTS[1:], 1):
        length = np.linalg.norm(JOINTS[:, joint] - JOINTS[:, parent], axis=-1)
        np.testing.assert_allclose(length, length[0], rtol=1e-9)
    np.testing.assert_allclose(JOINTS[..., 1].min(1), 0.0, atol=1e-9)


def walked(rows):
    """The root's path on the ground, from turning and velocities alone."""
    heading = np.concatenate([[0.0], np.cumsum(rows[:, 0])])[:-1]
    cos, sin = np.cos(heading), np.sin(heading)
    x, z = rows[:, 1], rows[:, 2]
    return np.cumsum(np.stack([cos * x + sin * z, cos * z - sin * x], -1), axis=0)


def test_the_path_comes_back_from_the_features():
    path = JOINTS[1:, 0, ::2] - JOINTS[0, 0, ::2]
    np.testing.assert_allclose(walked(FOUND), path, atol=1e-9)
    length = np.linalg.norm(np.diff(path, axis=0), axis=-1).sum() * FPS / (len(path) - 1)
    assert length == pytest.approx(GAIT.speed, rel=0.01), "metres per second"
    straight = FOUND * np.where(np.arange(FEATURES) == 0, 0, 1)
    assert not np.allclose(walked(straight), path, atol=0.1), "without the turning it does not"


def test_features_do_not_know_where_in_the_room_the_walk_is():
    turned = walks._about_y(np.full(41, 0.9), JOINTS) + np.array([3.0, 0.0, -2.0])
    np.testing.assert_allclose(features(HEADING + 0.9, turned, LOCAL), FOUND, atol=1e-9)
    assert not np.allclose(features(HEADING, turned, LOCAL), FOUND, atol=0.1)


def test_velocities_are_those_of_the_positions():
    """For one who does not turn, all but the root's own way."""
    gait = dataclasses.replace(GAIT, turning=0.0)
    rows = features(*pose(gait, 41))
    positions, velocities = rows[:, 4:67].reshape(-1, 21, 3), rows[:, 193:259].reshape(-1, 22, 3)
    way = velocities[:-1, :1] * (1, 0, 1)
    np.testing.assert_allclose(np.diff(positions, axis=0) + way, velocities[:-1, 1:], atol=1e-9)


def test_contacts_are_where_feet_stand():
    moved = np.linalg.norm(np.diff(JOINTS[:, FEET], axis=0), axis=-1)
    contacts = FOUND[:, -4:].astype(bool)
    assert contacts.any() and not contacts.all() and moved[contacts].max() < moved[~contacts].min()


@pytest.mark.parametrize(
    ("speed", "turning", "caption"),
    [
        (0.6, 0.5, "a person walks slowly and turns left"),
        (1.0, -0.5, "a person walks along and turns right"),
        (1.4, 0.0, "a person walks quickly straight on"),
    ],
)
def test_captions(speed, turning, caption):
    gait = Gait(speed, turning, 0.3, 0.0)
    assert gait.caption == caption
    joints = pose(gait, 20)[1]
    assert np.sign(joints[-1, 0, 0].round(6)) == np.sign(turning), "x points to the left"


def test_what_is_not_there_is_refused():
    with pytest.raises(UserError, match="split 'all'"):
        Walks("all")
    with pytest.raises(UserError, match="0 frames"):
        Walks("train", frames=0)
    with pytest.raises(IndexError):
        Walks("test")[1_000]
