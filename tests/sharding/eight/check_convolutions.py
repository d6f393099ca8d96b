"""Every mesh trains an autoencoder, two players and, each day, other systems as one device does."""

import pytest

from tests.sharding.meshes import KINDS, MESHES, assert_as_on_one_device, tenth
from tests.tiny import NAMES

OTHERS = [name for name in NAMES if name not in {config for config, _ in KINDS.values()}]


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("kind", ["autoencoder", "players"])
def test_a_mesh_trains_as_one_device_does(kind, mesh):
    name, fields = KINDS[kind]
    assert_as_on_one_device(mesh, name, **fields)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("name", tenth(OTHERS))
def test_so_it_trains_some_of_the_other_systems(name, mesh):
    assert_as_on_one_device(mesh, name)
