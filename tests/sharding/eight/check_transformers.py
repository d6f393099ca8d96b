"""Every mesh trains systems of transformers as one device does, one for each kind of block."""

import pytest

from tests.sharding.meshes import (
    KINDS,
    MESHES,
    apart,
    assert_as_on_one_device,
    beyond,
    descending,
    on_one_device,
    run,
)

# Fields of the joint kind's network with which its tokens are cut in other ways.
WIRINGS = {
    "dual, shared keys": {"topology": "dual", "kv_heads": 1},
    "encoder_decoder": {"topology": "encoder_decoder"},
}


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("kind", ["joint", "next_token", "towers"])
def test_a_mesh_trains_as_one_device_does(kind, mesh):
    name, fields = KINDS[kind]
    assert_as_on_one_device(mesh, name, **fields)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_tokens_are_cut_in_every_lane(wiring):
    name, fields = KINDS["joint"]
    assert_as_on_one_device("context", name, depth=1, **fields, **WIRINGS[wiring])


def test_accumulated_unrolled_and_recomputed_alike():
    name, fields = KINDS["next_token"]
    found = run(
        descending(name, accumulate=2, scan_unroll=2, remat="full"), MESHES["data, fsdp, tensor"]
    )
    assert not beyond(apart(found, on_one_device(name, **fields)))
