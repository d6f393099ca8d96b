"""Points in files and in pictures."""

import numpy as np
import pytest

from mmjax.modalities.base import MediaError
from mmjax.modalities.cloud import Cloud

CLOUD = Cloud(points=3)
POINTS = np.array([(1, 0, 0), (0, 1, 0), (0, 0, -1), (9, 9, 9)], np.float32)


def test_the_first_points_come_back(tmp_path):
    path = str(tmp_path / "x.npy")
    np.save(path, POINTS)
    found = CLOUD.read(path)
    assert np.array_equal(found, POINTS[:3])
    CLOUD.save(path, found)
    assert np.array_equal(CLOUD.read(path), found)
    np.save(path, POINTS[:2])
    with pytest.raises(MediaError, match=r"x\.npy: has 2 points, fewer than 3"):
        CLOUD.read(path)
    with pytest.raises(MediaError, match=r"line 1: expected \[points, 3\] numbers"):
        CLOUD.parse([[1, 2]], "line 1")


def test_three_views():
    picture = CLOUD.preview(POINTS[:3])
    assert picture.shape == (192, 576, 3)
    dark = set(zip(*np.nonzero(picture[..., 0] < 100), strict=True))
    front = {(95, 191), (0, 96), (95, 96)}
    side = {(95, 192 + 96), (0, 192 + 96), (95, 192)}
    above = {(95, 384 + 191), (95, 384 + 96), (191, 384 + 96)}
    assert dark == front | side | above
