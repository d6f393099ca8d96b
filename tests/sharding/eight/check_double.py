"""Where rounding is amplified, gradients are compared in float64, which hides nothing else."""

import pytest

from tests.sharding.meshes import DOUBLE, LIMITS, beyond, in_double

CONFIG = "multimodal/cvae"
NEAR = dict.fromkeys(LIMITS, 0.0)


def test_in_float64_a_mesh_has_the_gradients_of_one_device():
    assert 0 < in_double("data, fsdp, tensor", CONFIG) < 1e-13


def test_its_network_is_the_one_that_is_asked_for():
    with pytest.raises(AssertionError, match="widths"):
        in_double("data", CONFIG, widths="none")


@pytest.mark.parametrize(
    ("figures", "found"),
    [
        ({"gradients": 2e-5}, {"gradients"}),
        ({"gradients": 2e-5, DOUBLE: 1e-12}, set()),
        ({"gradients": 2e-5, DOUBLE: 1e-8}, {DOUBLE}),
        ({"gradients": float("nan"), DOUBLE: float("nan")}, {DOUBLE}),
        ({"gradients": 2e-5, DOUBLE: 1e-12, "losses": 2e-5}, {"losses"}),
        ({"gradients": 2e-5, DOUBLE: 1e-12, "parameters": 6e-5}, {"parameters"}),
        ({"initial": 1.0}, {"initial"}),
    ],
)
def test_only_the_distance_of_gradients_is_measured_otherwise(figures, found):
    assert set(beyond(NEAR | figures)) == found
