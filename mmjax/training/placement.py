"""A system on a mesh: where its state and its batches live, and its step compiled for that."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from mmjax.errors import UserError
from mmjax.sharding.rules import MESH_AXES, shardings
from mmjax.training.reduce import pack
from mmjax.training.restore import declared_batch
from mmjax.training.state import State, compiled_init, init
from mmjax.training.step import make_step
from mmjax.training.system import System
from mmjax.typing import Batch, Tree


class Placement:
    """A system's state, batches and step on a mesh.

    Attributes:
      system: what is placed.
      mesh: where.
      abstract: shapes, dtypes and shardings of the state.
      abstract_batch: those of a batch.
    """

    def __init__(self, system: System, mesh: Mesh, batch: Batch | None = None):
        """Places ``system``.

        Args:
          system: what to place.
          mesh: see :func:`mmjax.sharding.mesh.make_mesh`.
          batch: shapes and dtypes of the global batch; by default what the system declares.

        Raises:
          UserError: the devices that share the batch do not divide it.
        """
        self.system, self.mesh = system, mesh
        self._rows = _by_rows(mesh)
        self._whole = NamedSharding(mesh, P())
        batch = declared_batch(system) if batch is None else batch
        for name, spec in batch.items():
            self._require_divides(name, spec.shape[0])
        self.abstract_batch = _placed(batch, self.batch(batch))

    @functools.cached_property
    def abstract(self) -> State:
        """Shapes, dtypes and shardings of the state; nothing is computed."""
        state = jax.eval_shape(functools.partial(init, self.system), self.abstract_batch)
        return _placed(state, self.state(state))

    def state(self, abstract_state: State) -> State:
        """The sharding of each leaf of a state."""
        return shardings(self.mesh, abstract_state)

    def batch(self, abstract_batch: Mapping[str, Any]) -> dict[str, NamedSharding]:
        """The sharding of each field of a batch: its rows are shared out."""
        return dict.fromkeys(abstract_batch, self._rows)

    def jit_step(self) -> Callable[..., Any]:
        """The compiled step (state, batch) -> (state, packed log); the state is donated."""
        advance = make_step(self.system)

        def step(state, batch):
            state, logged = advance(state, batch)
            return state, pack(logged)

        return jax.jit(
            self.under_mesh(step),
            in_shardings=(self.state(self.abstract), self._rows),
            out_shardings=(self.state(self.abstract), self._whole),
            donate_argnums=0,
        )

    def under_mesh(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, traced with the mesh in use (see :mod:`mmjax.sharding.constrain`)."""
        if self.mesh.size == 1:
            return function

        @functools.wraps(function)
        def traced(*arguments):
            with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
                return function(*arguments)

        return traced

    def begin(self, begin: Callable[[Batch], State] | None = None) -> State:
        """The state at step 0, each device making its own part.

        Args:
          begin: makes it from a batch of zeros; by default all networks are initialised.
        """
        where = self.state(self.abstract)
        example = {k: np.zeros(spec.shape, spec.dtype) for k, spec in self.abstract_batch.items()}
        if begin is not None:
            return jax.device_put(begin(example), where)
        return compiled_init(self.system, out_shardings=where)(self.put(example))

    def put(self, batch: Mapping[str, Any]) -> dict[str, jax.Array]:
        """This process's rows of a batch as arrays over all devices."""
        if jax.process_count() == 1:
            return jax.device_put(dict(batch), self._rows)
        share = jax.make_array_from_process_local_data
        return {name: share(self._rows, np.asarray(x)) for name, x in batch.items()}

    def _require_divides(self, name: str, size: int) -> None:
        parts = math.prod(self.mesh.shape[axis] for axis in MESH_AXES["batch"])
        if size % parts:
            raise UserError(
                f"config.data.batch_size: {parts} groups of devices share a batch, which does not "
                f"divide the {size} rows of {name!r}; take a multiple of {parts}, or give "
                "config.mesh more of another axis"
            )


def rows(mesh: Mesh, size: int) -> tuple[int, int]:
    """The rows of a global batch of ``size`` that this process reads: first, and past the last."""
    held = _by_rows(mesh).addressable_devices_indices_map((size,)).values()
    bounds = [part.indices(size)[:2] for (part,) in held]
    return min(first for first, _ in bounds), max(last for _, last in bounds)


def _by_rows(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P(MESH_AXES["batch"]))


def _placed(abstract: Tree, where: Tree) -> Tree:
    place = lambda leaf, s: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=s)  # noqa: E731
    return jax.tree.map(place, abstract, where)
