"""A run on one mesh begins with the weights of a run on another, each device with its own part."""

import dataclasses

import jax
import numpy as np
import pytest

from mmjax.sharding.mesh import MeshSpec
from mmjax.training import weights
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from mmjax.training.init_rules import Init
from mmjax.training.warm_start import warm_start
from mmjax.training.workdir import Workdir
from tests.harness import assert_same_bits
from tests.sharding.meshes import descending, placed

MESHES = (MeshSpec(data=1), MeshSpec(data=2, fsdp=2, tensor=2), MeshSpec(data=1, fsdp=8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder, a folder of its weights, and its parameters."""
    system, workdir = descending("text/gpt"), Workdir(tmp_path_factory.mktemp("trained") / "run")
    placement = placed(system, MESHES[1], make_pipeline(system).batch(0))
    state = placement.begin()
    workdir.claim(system.config)
    checkpoints = Checkpoints(workdir.checkpoints, keep=1)
    checkpoints.save(state)
    checkpoints.close()
    weights.save(workdir.path.parent / "weights", system, state)
    return workdir.path, workdir.path.parent / "weights", jax.device_get(state.params)


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("kind", [0, 1], ids=["a run", "a weights folder"])
def test_parameters_are_taken_onto_another_mesh(trained, tmp_path, mesh, kind):
    system = descending("text/gpt")
    init = Init(str(trained[kind]))
    other = dataclasses.replace(system, init=init, seed=system.seed + 1)
    placement = placed(other, mesh, make_pipeline(system).batch(0))
    state = placement.begin(warm_start(placement, tmp_path))
    assert_same_bits(jax.device_get(state.params), trained[2])
    leaves, wanted = jax.tree.leaves(state), jax.tree.leaves(placement.state(placement.abstract))
    assert all(x.sharding == s for x, s in zip(leaves, wanted, strict=True))
    whole = [x.addressable_shards[0].data.size == x.size for x in leaves]
    assert all(whole) == (np.prod(dataclasses.astuple(mesh)) == 1), "some leaf is in parts"
