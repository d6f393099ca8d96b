"""The contract between an objective and the training step."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from mmjax.streams import Stream
from mmjax.tree import pytree
from mmjax.typing import Array, Batch, Bool, Float, Params, PRNGKeyArray, Tree


@pytree
@dataclasses.dataclass(frozen=True)
class Term:
    """One summand of the loss, unreduced: the step divides its global sum by its global count.

    Attributes:
      values: ``[B, ...]`` or a scalar.
      mask: the leading axes of ``values``, or all with some of length 1; true where a value
        counts. None: everywhere.
      weight: factor of this term in the loss.
      time: noise level, shaped like a mask; the loss is then logged by time bucket too.
      per: ``"token"`` averages over values; ``"sample"`` over each example, then over examples.
    """

    values: Float[Array, "..."]
    mask: Bool[Array, "..."] | None = None
    weight: float | Float[Array, ""] = 1.0
    time: Float[Array, "..."] | None = None
    per: str = dataclasses.field(default="token", metadata={"static": True})


@pytree
@dataclasses.dataclass(frozen=True)
class Aux:
    """What else ``terms`` leaves behind.

    Attributes:
      state: the objective's own new state (queues, balancers), None if unchanged.
      mutable: new collections by network, such as ``{"generator": {"batch_stats": ...}}``.
      metrics: scalars to log.
    """

    state: Tree = None
    mutable: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Float[Array, ""]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Context:
    """What an objective may use of the training state; a new one is made in every trace.

    Attributes:
      networks: Linen modules by name.
      params: parameters by network; terms may differentiate with respect to them.
      ema: their moving average, the same tree; equal to ``params`` where there is none.
      mutable: further collections by network.
      state: the objective's own state.
      step: the training step.
      sampler: the config's sampler.
    """

    networks: Mapping[str, Any]
    params: Params
    ema: Params
    mutable: Mapping[str, Any]
    state: Tree = None
    step: Array | int = 0
    sampler: Any = None

    def apply(
        self, network: str, *args, method=None, params: Params | None = None, mutable=False,
        rngs=None, **options,
    ):  # fmt: skip
        """Calls a network; with ``mutable`` also returns the collections it changed."""
        params = self.params if params is None else params
        variables = {"params": params.get(network, {}), **self.mutable.get(network, {})}
        return self.networks[network].apply(
            variables, *args, method=method, mutable=mutable, rngs=rngs, **options
        )


@dataclasses.dataclass(frozen=True)
class Request:
    """What to sample.

    Attributes:
      given: streams that are known, by name.
      want: names of the streams to generate.
      batch: how many.
    """

    given: Mapping[str, Stream]
    want: tuple[str, ...]
    batch: int


@runtime_checkable
class Objective(Protocol):
    """What is learned; a subclass that keeps no state is spared to say so.

    Attributes:
      whole_batch: whether the loss of an example depends on the others of its batch, which can
        then not be taken in parts.
      reconstructs: names of the streams that it gives back as it took them.
    """

    whole_batch: bool = False
    reconstructs: tuple[str, ...] = ()

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The arguments with which each network's parameters are initialised."""

    def init_state(self, batch: Batch) -> Tree:
        """The objective's own state for batches of these shapes; None if it has none."""
        return None

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """Work without gradients: frozen codecs and encoders, rollouts, rewards."""

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The loss terms of one update on a prepared batch."""

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """Generates the wanted streams; UserError where the objective generates nothing."""
