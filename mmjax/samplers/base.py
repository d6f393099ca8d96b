"""The contract of a sampler and its two drivers."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax

from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, PRNGKeyArray, Tree

# streams -> predicted values by stream name; ``cache`` carries keys and values between calls.
Model = Callable[..., tuple[dict[str, Array], Tree]]


class Sampler(Protocol):
    """Three pure, jittable functions over a carry (a pytree that includes any cache)."""

    def length(self, streams: Mapping[str, StreamSpec], want: tuple[str, ...]) -> int:
        """How many times ``advance`` is called."""

    def start(
        self,
        model: Model,
        specs: Mapping[str, StreamSpec],
        streams: Mapping[str, Stream],
        want: tuple[str, ...],
        key: PRNGKeyArray,
    ) -> Any:
        """The first carry: given streams as they are, wanted streams at their beginning."""

    def advance(self, model: Model, specs, want: tuple[str, ...], carry: Any, index: Array) -> Any:
        """One step."""

    def finish(self, specs, want: tuple[str, ...], carry: Any) -> dict[str, Stream]:
        """The generated streams."""


def scan(sampler: Sampler, model: Model, specs, streams, want, key) -> dict[str, Stream]:
    """Runs the sampler inside the caller's trace."""
    carry = sampler.start(model, specs, streams, want, key)

    def body(index, carry):
        return sampler.advance(model, specs, want, carry, index)

    carry = jax.lax.fori_loop(0, sampler.length(specs, want), body, carry)
    return sampler.finish(specs, want, carry)


def steps(sampler: Sampler, model: Model, specs, streams, want, key) -> Iterator[dict[str, Stream]]:
    """Runs the sampler from the host, one compiled step at a time, yielding what there is so far.

    The model's arrays must be bound by closure; breaking out of the loop interrupts the sampling.
    """
    carry = sampler.start(model, specs, streams, want, key)
    advance = jax.jit(lambda carry, index: sampler.advance(model, specs, want, carry, index))
    for index in range(sampler.length(specs, want)):
        carry = advance(carry, index)
        yield sampler.finish(specs, want, carry)
