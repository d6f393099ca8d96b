"""What is saved on one mesh is loaded on any other, and goes on the same."""

import functools

import jax
import numpy as np
import pytest

from mmjax.sharding.mesh import MeshSpec
from mmjax.training.batches import make_pipeline
from mmjax.training.checkpoint import Checkpoints
from tests.harness import assert_same_bits
from tests.sharding.meshes import descending, placed

AXES = ("data", "fsdp", "tensor")
MESHES = {"1": MeshSpec(data=1)} | {
    f"{count} {axis}": MeshSpec(**{"data": 1, axis: count}) for count in (2, 4, 8) for axis in AXES
}
BEFORE = 2  # steps until it is saved


@functools.cache
def system():
    return descending("text/gpt")


@functools.cache
def batches():
    return [make_pipeline(system()).batch(step) for step in range(BEFORE + 1)]


@functools.cache
def compiled(mesh):
    placement = placed(system(), MESHES[mesh], batches()[0])
    return placement, placement.jit_step()


def stepped(mesh, state, first, last):
    """The state some steps later, and the last loss."""
    placement, step = compiled(mesh)
    for batch in batches()[first:last]:
        state, logged = step(state, placement.put(batch))
    return state, logged.read()["loss/all/total"][0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@functools.cache
def saved(mesh, folders):
    """A checkpoint made on a mesh: its folder, its values, the loss of the step after it."""
    state, _ = stepped(mesh, compiled(mesh)[0].begin(), 0, BEFORE)
    checkpoints = Checkpoints(folders / mesh.replace(" ", "_"), keep=1)
    checkpoints.save(state)
    checkpoints.wait()
    values = jax.device_get(state)
    return checkpoints, values, stepped(mesh, state, BEFORE, BEFORE + 1)[1]


@pytest.mark.parametrize("there", MESHES)
@pytest.mark.parametrize("here", MESHES)
def test_loaded_elsewhere(here, there, folders):
    checkpoints, values, loss = saved(here, folders)
    abstract = compiled(there)[0].abstract
    state = checkpoints.restore(abstract, BEFORE)
    assert_same_bits(jax.device_get(state), values)
    for leaf, wanted in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim)
    assert abs(stepped(there, state, BEFORE, BEFORE + 1)[1] / loss - 1) < 1e-6


def test_the_meshes_do_cut_the_state():
    """Or the rest would show nothing."""

    def held(mesh):
        leaves = jax.tree.leaves(compiled(mesh)[0].abstract.params)
        return sum(np.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in leaves)

    assert held("8 data") == held("1") and held("2 tensor") < 0.8 * held("1")
    assert held("8 fsdp") < held("4 fsdp") < held("2 fsdp") < 0.8 * held("1")
