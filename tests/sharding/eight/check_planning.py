"""What a plan says of a step, against the same step on devices that are here."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.layers.context_attention import attend
from mmjax.planning import abstract, hlo
from mmjax.planning.collectives import find, summary
from mmjax.planning.compile import argument_bytes
from mmjax.sharding.mesh import MeshSpec, make_mesh
from mmjax.sharding.rules import MESH_AXES
from tests.sharding.meshes import MESHES, on, placed
from tests.tiny import tiny

BATCH, LENGTHS, HEADS, SIZE = 4, (8, 4), 4, 8


def test_planned_bytes_of_arguments_are_the_measured_ones():
    system, batch = tiny("quickstart")
    placement = placed(system, MESHES["data, fsdp, tensor"], batch)
    task = abstract.training(placement)
    traced = task.function.trace(*task.arguments)
    planned = argument_bytes(task.arguments, traced.jaxpr)
    compiled = traced.lower().compile()
    assert sum(planned.values()) == compiled.memory_analysis().argument_size_in_bytes
    state, last = placement.begin(), jax.devices()[-1]
    for use, field in (("parameters", "params"), ("optimiser", "opt"), ("average", "ema")):
        parts = (part for leaf in jax.tree.leaves(getattr(state, field))
                 for part in leaf.addressable_shards if part.device == last)  # fmt: skip
        assert planned[use] == sum(part.data.nbytes for part in parts)


@pytest.mark.parametrize("context", [2, 4])
def test_joint_attention_exchanges_tokens_for_heads_and_nothing_else(context):
    mesh = make_mesh(MeshSpec(context=context))
    cut = NamedSharding(mesh, P(MESH_AXES["batch"], "context"))
    lanes = [jnp.ones((BATCH, length, HEADS, SIZE)) for length in LENGTHS]

    def loss(queries, keys, values):
        return sum(jnp.sum(x * x) for x in attend(queries, keys, values, None))

    step = on(MeshSpec(context=context), jax.grad(loss, argnums=(0, 1, 2)), cut)
    compiled = step.lower(lanes, lanes, lanes).compile()
    devices = list(mesh.devices.flat)
    found = summary(find(hlo.parse(compiled.as_text()), devices))
    assert set(found) == {"all-to-all"}
    groups = len(devices) // context
    held = 4 * BATCH // groups * sum(LENGTHS) // context * HEADS * SIZE
    # queries, keys, values and the result, and the gradient of each: of a device's tokens it gives
    # away the heads of the others
    assert found["all-to-all"]["count"] == 8
    assert found["all-to-all"]["fast_bytes"] == 8 * held * (context - 1) / context
