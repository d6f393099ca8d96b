"""Made solids: surfaces that bound what is inside, volumes in closed form, fixed records."""

import numpy as np
import pytest

from mmjax.data.solids import KINDS, Solids, inside, on_surface
from mmjax.errors import UserError

SIZES = np.array([0.5, 0.3, 0.4])
THICK, RADIUS = 0.25, 0.55
VOLUMES = {
    "ellipsoid": 4 / 3 * np.pi * SIZES.prod(),
    "box": 8 * SIZES.prod(),
    "ring": 2 * np.pi**2 * RADIUS * THICK**2,
}


@pytest.mark.parametrize("kind", KINDS)
def test_volume_and_surface(kind):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (200_000, 3))
    assert 8 * inside(kind, SIZES, points).mean() == pytest.approx(VOLUMES[kind], rel=0.05)
    surface = on_surface(kind, SIZES, 500, rng)
    centre = surface * (1, 0, 1) if kind == "ring" else 0 * surface
    if kind == "ring":  # the nearest point of the circle in the middle of it
        centre = RADIUS * centre / np.linalg.norm(centre, axis=1, keepdims=True)
    for scale, expected in ((0.999, True), (1.001, False)):
        assert (inside(kind, SIZES, centre + scale * (surface - centre)) == expected).all()
    assert np.linalg.norm(surface, axis=1).max() <= 1.0


def test_records_depend_on_the_index_alone():
    source = Solids("train", points=64, asked=200)
    record, again = source[3], Solids("train", points=64, asked=200)[3]
    assert all(np.array_equal(record[name], again[name]) for name in record)
    assert record["surface"].shape == (64, 3) and record["queries"].shape == (200, 4)
    assert record["surface"].dtype == record["queries"].dtype == np.float32
    assert not np.array_equal(Solids("test", points=64, asked=200)[3]["surface"], record["surface"])
    records = [source[index] for index in range(40)]
    answers = [record["queries"][:, 3] for record in records]
    assert {int(record["label"]) for record in records} == {0, 1, 2}
    assert set(np.concatenate(answers)) == {0.0, 1.0}
    near = np.concatenate([a[100:] for a in answers]).mean()
    assert 0.3 < near < 0.7, "queries near the surface lie on either side"


@pytest.mark.parametrize("fields", [{"split": "all"}, {"split": "train", "asked": 3}])
def test_impossible_facts_are_named(fields):
    with pytest.raises(UserError, match="solids"):
        Solids(**fields)
