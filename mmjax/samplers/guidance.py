"""Classifier-free guidance with named branches, as a wrapper of the model."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.rng import named
from mmjax.samplers.base import Model
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Branch:
    """One direction of guidance: away from the prediction made without some streams.

    Attributes:
      scale: 1 leaves the prediction as it is (Ho & Salimans 2207.12598).
      drop: streams that the branch goes without.
      targets: streams whose prediction it guides; () all.
    """

    scale: float = 1.0
    drop: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def drop_stream(stream: Stream, spec: StreamSpec, keep: jax.Array, key: PRNGKeyArray) -> Stream:
    """Drops the stream where ``keep [B]`` is false, in the way that its spec declares.

    ``mask`` hides its tokens, ``noise`` replaces it by pure noise at time 1, ``empty`` by the
    codec's encoding of nothing.
    """
    rows = keep.reshape((-1,) + (1,) * (stream.mask.ndim - 1))
    if spec.dropped == "mask":
        return stream.replace(mask=stream.mask & rows)
    cells = rows.reshape(rows.shape + (1,) * (stream.values.ndim - rows.ndim))
    if spec.dropped == "noise":
        noise = jax.random.normal(key, stream.values.shape)
        time_rows = keep.reshape((-1,) + (1,) * (stream.time.ndim - 1))
        time = jnp.where(time_rows, stream.time, 1.0)
        return stream.replace(values=jnp.where(cells, stream.values, noise), time=time)
    empty_values, empty_mask = spec.codec.empty()
    return stream.replace(
        values=jnp.where(cells, stream.values, empty_values),
        mask=jnp.where(rows, stream.mask, empty_mask),
    )


def guided(
    model: Model,
    branches: Mapping[str, Branch],
    specs: Mapping[str, StreamSpec],
    key: PRNGKeyArray,
) -> Model:
    """prediction + sum over branches of (scale - 1) (prediction - prediction without ``drop``).

    With one branch this is the usual guided prediction. All branches run as one larger batch.
    """
    active = {name: branch for name, branch in branches.items() if branch.scale != 1.0}
    if not active:
        return model

    def guided_model(streams: Mapping[str, Stream], **options):
        variants = [dict(streams)]
        for name, branch in active.items():
            variants.append(_without(streams, branch.drop, specs, named(key, name)))
        joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *variants)
        predictions, cache = model(joined, **options)
        split = {n: jnp.split(values, len(variants)) for n, values in predictions.items()}
        return {name: _combine(name, parts, active) for name, parts in split.items()}, cache

    return guided_model


def _without(streams, drop, specs, key):
    result = dict(streams)
    for name in drop:
        if name in result:
            keep = jnp.zeros((result[name].values.shape[0],), bool)
            result[name] = drop_stream(result[name], specs[name], keep, named(key, name))
    return result


def _combine(name, parts, active):
    full, *without = parts
    total = full
    for branch, other in zip(active.values(), without, strict=True):
        if not branch.targets or name in branch.targets:
            total = total + (branch.scale - 1.0) * (full - other)
    return total
