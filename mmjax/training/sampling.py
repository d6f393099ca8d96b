"""Generating media with a system: raw fields in, raw fields out, compiled once per direction."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.objectives.base import Request
from mmjax.sharding.multihost import fetch
from mmjax.streams import PARTS, Stream, StreamSpec
from mmjax.training.state import State, sampling_context
from mmjax.training.system import System
from mmjax.typing import Array, Batch, PRNGKeyArray

Fields = Mapping[str, np.ndarray]
Watch = Callable[[int, int], None]  # called with the steps done and their number


class Generator:
    """Samples a system's streams; the state may change between calls without recompiling."""

    def __init__(self, system: System):
        """Nothing is compiled yet."""
        self.system = system
        options = {"static_argnames": ("want", "batch")}
        self._sample = jax.jit(self._sampled, **options)
        self._start = jax.jit(self._started, **options)
        self._advance = jax.jit(self._advanced, static_argnames="want")
        self._finish = jax.jit(self._finished, static_argnames="want")

    def __call__(
        self,
        state: State,
        given: Mapping[str, Fields],
        want: tuple[str, ...],
        *,
        batch: int,
        key: PRNGKeyArray,
        watch: Watch | None = None,
    ) -> dict[str, np.ndarray]:
        """Generates the wanted streams and decodes them.

        Args:
          state: parameters; their moving averages are used where there are any.
          given: batch fields by stream, see :func:`fields_of`. A stream that is given and wanted is
            held where its mask is true.
          want: streams to generate.
          batch: how many clips.
          key: of the noise.
          watch: told of each step. The steps are then run one by one from the host, where the
            objective allows it, and may be interrupted.

        Returns:
          ``{stream: [B, ...]}`` in the modalities' own shapes, dtypes and ranges; token streams
          of a host codec as an object array of decoded values.
        """
        given = {name: dict(fields) for name, fields in given.items()}
        stepwise = hasattr(self.system.objective, "begin")
        if stepwise and self.system.sampler is None:
            name = self.system.name
            raise UserError(f"config.sampler: {name} declares no sampler, so it samples nothing")
        if watch is None or not stepwise:
            values = self._sample(state, given, key, want=want, batch=batch)
        else:
            carry = self._start(state, given, key, want=want, batch=batch)
            length = self.system.sampler.length(self.system.streams, want)
            for index in range(length):
                carry = jax.block_until_ready(self._advance(state, carry, index, want=want))
                watch(index + 1, length)
            values = self._finish(state, carry, want=want)
        return {name: self._to_media(name, fetch(value)) for name, value in values.items()}

    def _request(self, given, want: tuple[str, ...], batch: int) -> Request:
        streams = self.system.streams
        known = {name: streams[name].encode(fields) for name, fields in given.items()}
        return Request(known, want, batch)

    def _sampled(self, state: State, given, key: PRNGKeyArray, *, want, batch: int):
        ctx = sampling_context(self.system, state)
        request = self._request(given, want, batch)
        return self._decoded(self.system.objective.sample(ctx, request, key))

    def _started(self, state: State, given, key: PRNGKeyArray, *, want, batch: int) -> Any:
        objective, sampler = self.system.objective, self.system.sampler
        streams = objective.begin(self._request(given, want, batch), key)
        return sampler.start(self._model(state), self.system.streams, streams, want, key)

    def _advanced(self, state: State, carry: Any, index: Array | int, *, want) -> Any:
        model = self._model(state)
        return self.system.sampler.advance(model, self.system.streams, want, carry, index)

    def _finished(self, state: State, carry: Any, *, want) -> dict[str, Array]:
        return self._decoded(self.system.sampler.finish(self.system.streams, want, carry))

    def _model(self, state: State):
        return self.system.objective.model(sampling_context(self.system, state))

    def _decoded(self, streams: Mapping[str, Stream]) -> dict[str, Array]:
        """The streams' values as far as a device can decode them."""
        decoded = {}
        for name, stream in streams.items():
            codec = self.system.streams[name].codec
            on_device = codec is not None and not codec.host
            decoded[name] = codec.decode(stream.values) if on_device else stream.values
        return decoded

    def _to_media(self, name: str, values: np.ndarray) -> np.ndarray:
        spec = self.system.streams[name]
        if spec.codec is not None and spec.codec.host:
            return objects(spec.codec.decode(row) for row in values)
        return to_raw(spec.modality, values)


def fields_of(spec: StreamSpec, batch: Batch) -> dict[str, np.ndarray]:
    """The fields of a batch that a stream is made of: raw or latent, and what goes with them."""
    names = (spec.field, f"{spec.field}_latents", *(f"{spec.field}_{part}" for part in PARTS))
    return {name: batch[name] for name in names if name in batch}


def objects(values) -> np.ndarray:
    """A flat array of any objects, even of sequences of one length."""
    values = list(values)
    array = np.empty(len(values), object)
    array[:] = values
    return array


def to_raw(modality, values: np.ndarray) -> np.ndarray:
    """Clips to the modality's range and casts to its dtype, rounding integers."""
    dtype = np.dtype(modality.spec().dtype)
    values = np.clip(values, *modality.value_range)
    return np.round(values).astype(dtype) if dtype.kind in "iu" else values.astype(dtype)
