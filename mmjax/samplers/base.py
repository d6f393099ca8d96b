"""The contract of a sampler, of the model it runs, and the two drivers."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax

from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, PRNGKeyArray, Tree

Specs = Mapping[str, StreamSpec]
Streams = Mapping[str, Stream]
Want = tuple[str, ...]


@runtime_checkable
class Predictor(Protocol):
    """A network with its parameters, as samplers see it: streams in, predicted values out."""

    def __call__(self, streams: Streams) -> dict[str, Array]:
        """The predicted values by stream."""


@runtime_checkable
class Model(Predictor, Protocol):
    """A predictor that can also go on from what it has seen, as autoregression needs."""

    def cache(self, streams: Streams) -> Tree:
        """An empty cache with room for all tokens of ``streams``."""

    def decode(self, streams: Streams, cache: Tree) -> tuple[dict[str, Array], Tree]:
        """Predictions for ``streams`` after what the cache holds, and the cache after them.

        The given cache is left as it was: whoever keeps it has not appended anything.
        """


@dataclasses.dataclass(frozen=True)
class Continued:
    """A model that starts from what a cache already holds.

    Any sampler runs on it, so interleaved generation is a sequence of them on one cache: text by
    :class:`~mmjax.samplers.autoregressive.Autoregressive`, whose last carry holds the longer cache;
    a picture by any sampler over time, which leaves the cache alone, and then its clean values
    appended with :meth:`decode`. With guidance wrap the guided model, so that each branch has its
    rows in the cache.
    """

    model: Model
    held: Tree

    def __call__(self, streams: Streams) -> dict[str, Array]:
        """The predictions for ``streams`` after the held ones, appending nothing."""
        return self.model.decode(streams, self.held)[0]

    def cache(self, streams: Streams) -> Tree:
        """The held cache, which must have room for ``streams``."""
        return self.held

    def decode(self, streams: Streams, cache: Tree) -> tuple[dict[str, Array], Tree]:
        """As the model's own."""
        return self.model.decode(streams, cache)


@runtime_checkable
class Sampler(Protocol):
    """Three pure, jittable functions over a carry (a pytree that includes any cache).

    A wanted stream arrives with its time at 1 where it is to be generated and 0 where its values
    are known already (a video's first frames, a text's beginning); these are held as they are.
    """

    def length(self, specs: Specs, want: Want) -> int:
        """How many times ``advance`` is called."""

    def start(
        self, model: Predictor, specs: Specs, streams: Streams, want: Want, key: PRNGKeyArray
    ) -> Any:
        """The first carry: given streams as they are, wanted streams at their beginning."""

    def advance(self, model: Predictor, specs: Specs, want: Want, carry: Any, index: Array) -> Any:
        """One step."""

    def finish(self, specs: Specs, want: Want, carry: Any) -> dict[str, Stream]:
        """The wanted streams, as far as they have come."""


def run(
    sampler: Sampler,
    model: Predictor,
    specs: Specs,
    streams: Streams,
    want: Want,
    key: PRNGKeyArray,
) -> Any:
    """The last carry of the sampler, run inside the caller's trace."""
    carry = sampler.start(model, specs, streams, want, key)

    def body(index, carry):
        return sampler.advance(model, specs, want, carry, index)

    return jax.lax.fori_loop(0, sampler.length(specs, want), body, carry)


def scan(
    sampler: Sampler,
    model: Predictor,
    specs: Specs,
    streams: Streams,
    want: Want,
    key: PRNGKeyArray,
) -> dict[str, Stream]:
    """The generated streams, by running the sampler inside the caller's trace."""
    return sampler.finish(specs, want, run(sampler, model, specs, streams, want, key))


def steps(
    sampler: Sampler,
    model: Predictor,
    specs: Specs,
    streams: Streams,
    want: Want,
    key: PRNGKeyArray,
) -> Iterator[dict[str, Stream]]:
    """Runs the sampler from the host, one compiled step at a time, yielding what there is so far.

    Breaking out of the loop interrupts the sampling.
    """
    carry = jax.jit(lambda: sampler.start(model, specs, streams, want, key))()
    advance = jax.jit(lambda carry, index: sampler.advance(model, specs, want, carry, index))
    for index in range(sampler.length(specs, want)):
        carry = advance(carry, index)
        yield sampler.finish(specs, want, carry)
