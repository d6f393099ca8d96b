"""Generating media with a system: raw fields in, raw fields out, compiled once per task."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.objectives.base import Request
from mmjax.rng import named
from mmjax.training.state import State, sampling_context
from mmjax.training.system import System


class Generator:
    """Samples a system's streams; ``state`` may be replaced between calls without recompiling."""

    def __init__(self, system: System):
        """Nothing is compiled yet."""
        self.system = system
        self._compiled: dict[tuple, Any] = {}

    def __call__(
        self, state: State, given: Mapping[str, np.ndarray], want: tuple[str, ...], *, batch: int, seed: int
    ) -> dict[str, np.ndarray]:
        """Generates the wanted streams and decodes them.

        Args:
          state: parameters; their moving averages are used where there are any.
          given: batch fields of the streams that are known (with their ``_mask`` fields).
          want: streams to generate.
          batch: how many clips.
          seed: of the noise.

        Returns:
          ``{stream: [B, ...]}`` in the modalities' own shapes, dtypes and ranges; token streams
          of a host codec as an object array of decoded values.
        """
        key = (tuple(sorted(given)), tuple(want), batch)
        if key not in self._compiled:
            self._compiled[key] = jax.jit(lambda *args: self._sample(tuple(want), batch, *args))
        values = self._compiled[key](state, dict(given), named(jax.random.key(seed), "sample"))
        return {name: self._to_media(name, np.asarray(value)) for name, value in values.items()}

    def _sample(self, want, batch: int, state: State, given, key):
        known = {
            name: spec.encode(given)
            for name, spec in self.system.streams.items()
            if name not in want and _has_field(spec.field, given)
        }
        ctx = sampling_context(self.system, state)
        streams = self.system.objective.sample(ctx, Request(known, want, batch), key)
        decoded = {}
        for name, stream in streams.items():
            codec = self.system.streams[name].codec
            on_device = codec is not None and not codec.host
            decoded[name] = codec.decode(stream.values) if on_device else stream.values
        return decoded

    def _to_media(self, name: str, values: np.ndarray) -> np.ndarray:
        spec = self.system.streams[name]
        if spec.codec is not None and spec.codec.host:
            decoded = np.empty(len(values), object)
            decoded[:] = [spec.codec.decode(row) for row in values]
            return decoded
        return to_raw(spec.modality, values)


def to_raw(modality, values: np.ndarray) -> np.ndarray:
    """Clips to the modality's range and casts to its dtype, rounding integers."""
    dtype = np.dtype(modality.spec().dtype)
    low, high = modality.value_range
    values = np.clip(values, low, high)
    return np.round(values).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


def _has_field(field: str, given: Mapping[str, Any]) -> bool:
    return field in given or f"{field}_latents" in given


def untrained(system: System, batch) -> State:
    """A state at step 0 for tables that show where training starts."""
    from mmjax.training.state import init

    return jax.jit(lambda: init(system, jax.tree.map(jnp.zeros_like, dict(batch))))()
