"""What the compiler is told of activations, in the few places where it would guess wrong."""

import jax

from mmjax.sharding.rules import divided
from mmjax.typing import Array


def constrain(x: Array, *axes: str | None) -> Array:
    """``x``, cut over the mesh by what its axes mean (see ``rules.MESH_AXES``; None: whole).

    Without a mesh, or with one of a single device, this does nothing.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return x
    return jax.lax.with_sharding_constraint(x, divided(mesh, axes, x.shape))


def context_size() -> int:
    """Into how many parts the mesh in use cuts the tokens of an example."""
    return jax.sharding.get_abstract_mesh().shape.get("context", 1)
