"""Classifier-free guidance with named branches, as a wrapper of the model."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.processes.base import check_choice
from mmjax.rng import named
from mmjax.samplers.base import Predictor, Specs, Streams
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Bool, PRNGKeyArray, Tree


@dataclasses.dataclass(frozen=True)
class Branch:
    """One direction of guidance: away from the prediction made without some streams.

    Attributes:
      scale: 1 leaves the prediction as it is (Ho & Salimans 2207.12598).
      drop: streams that the branch goes without; it never guides these.
      targets: streams whose prediction it guides; () all.
    """

    scale: float = 1.0
    drop: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    def guides(self, name: str) -> bool:
        """Whether the branch acts on the prediction of stream ``name``."""
        return name not in self.drop and (not self.targets or name in self.targets)


def drop_stream(
    stream: Stream, spec: StreamSpec, keep: Bool[Array, "B"], key: PRNGKeyArray
) -> Stream:
    """Drops the stream where ``keep`` is false, in the way that its spec declares.

    ``mask`` hides its tokens, ``noise`` replaces it by pure noise at time 1, ``empty`` by the
    tokeniser's encoding of an empty text.
    """
    check_choice(f"streams.{spec.name}", "dropped", spec.dropped, ("mask", "noise", "empty"))

    def rows(array: jax.Array) -> jax.Array:
        return keep.reshape((-1,) + (1,) * (array.ndim - 1))

    if spec.dropped == "mask":
        return stream.replace(mask=stream.mask & rows(stream.mask))
    if spec.dropped == "noise":
        noise = jax.random.normal(key, stream.values.shape, stream.values.dtype)
        return stream.replace(
            values=jnp.where(rows(noise), stream.values, noise),
            time=jnp.where(rows(stream.time), stream.time, 1.0),
        )
    if spec.codec is None or not spec.codec.host:
        raise UserError(f"streams.{spec.name}.dropped: 'empty' needs a tokeniser as its codec")
    values, mask = spec.codec.encode("")
    return stream.replace(
        values=jnp.where(rows(stream.values), stream.values, jnp.asarray(values)),
        mask=jnp.where(rows(stream.mask), stream.mask, jnp.asarray(mask)),
    )


def guided(
    model: Predictor, branches: Mapping[str, Branch], specs: Specs, key: PRNGKeyArray
) -> Predictor:
    """The model with its predictions guided; the model itself where every scale is 1."""
    active = tuple((name, branch) for name, branch in branches.items() if branch.scale != 1.0)
    return Guided(model, active, specs, key) if active else model


@dataclasses.dataclass(frozen=True)
class Guided:
    """prediction + sum over branches of (scale - 1) (prediction - prediction without ``drop``).

    With one branch this is u + scale (c - u) for the prediction c and the one without, u. All
    branches run as one larger batch, in the cache too.
    """

    model: Predictor
    branches: tuple[tuple[str, Branch], ...]
    specs: Specs
    key: PRNGKeyArray

    def __call__(self, streams: Streams) -> dict[str, Array]:
        """The guided predictions."""
        return self._combine(self.model(self._variants(streams)))

    def cache(self, streams: Streams) -> Tree:
        """An empty cache with rows for every branch, where the model has caches."""
        return self.model.cache(self._variants(streams))

    def decode(self, streams: Streams, cache: Tree) -> tuple[dict[str, Array], Tree]:
        """The guided predictions after what the cache holds, and the cache after them."""
        predictions, cache = self.model.decode(self._variants(streams), cache)
        return self._combine(predictions), cache

    def _variants(self, streams: Streams) -> dict[str, Stream]:
        """The streams as they are, then once more for each branch without what it drops."""
        variants = [dict(streams)]
        for label, branch in self.branches:
            variant = dict(streams)
            for name in set(branch.drop) & set(streams):
                nothing = jnp.zeros(streams[name].values.shape[:1], bool)
                key = named(self.key, label, name)
                variant[name] = drop_stream(streams[name], self.specs[name], nothing, key)
            variants.append(variant)
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *variants)

    def _combine(self, predictions: Mapping[str, Array]) -> dict[str, Array]:
        guided = {}
        for name, values in predictions.items():
            full, *without = jnp.split(values, 1 + len(self.branches))
            guided[name] = full
            for (_, branch), other in zip(self.branches, without, strict=True):
                if branch.guides(name):
                    guided[name] += (branch.scale - 1.0) * (full - other)
        return guided
