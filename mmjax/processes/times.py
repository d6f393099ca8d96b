"""At which noise levels the streams of an example are trained, and which conditions it keeps."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.rng import named
from mmjax.streams import StreamSpec
from mmjax.typing import Array, Float, PRNGKeyArray

HELD = ("clean", "noise", "prefix")  # how a case treats the one stream it is about


@runtime_checkable
class Distribution(Protocol):
    """A density over time in [0, 1]."""

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Samples of the given shape."""


def shift_time(time: Array, shift: float) -> Array:
    """Moves ``t`` to s t / (1 + (s - 1) t), noisier for s > 1 (Esser et al. 2403.03206, eq. 23)."""
    return shift * time / (1.0 + (shift - 1.0) * time)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Uniform in [0, 1], then shifted."""

    shift: float = 1.0

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Samples of the given shape."""
        return shift_time(jax.random.uniform(key, shape), self.shift)


@dataclasses.dataclass(frozen=True)
class LogitNormal:
    """sigmoid(mean + std z), then shifted (Esser et al. 2403.03206, section 3.1)."""

    mean: float = 0.0
    std: float = 1.0
    shift: float = 1.0

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Samples of the given shape."""
        time = jax.nn.sigmoid(self.mean + self.std * jax.random.normal(key, shape))
        return shift_time(time, self.shift)


@dataclasses.dataclass(frozen=True)
class Discrete:
    """One of ``steps`` equally likely levels 1/steps, ..., 1: the clock of DDPM."""

    steps: int = 1000

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Samples of the given shape."""
        return jax.random.randint(key, shape, 1, self.steps + 1) / self.steps


@dataclasses.dataclass(frozen=True)
class TimeSampler:
    """Draws the time of every stream and which conditions survive.

    Each example falls into one of several cases, by relative weight: all streams at one ``shared``
    time, ``independent`` times (Bao et al. 2303.06555), or all at a shared time but one stream,
    which is held ``clean`` (a condition), at pure ``noise`` (absent), or clean in its first
    ``prefix_length`` indices only (such as the first frames of a video that is to be continued).

    Attributes:
      distribution: the density of a time.
      shared, independent: weights of those cases.
      clean, noise, prefix: weight by stream name.
      prefix_length: indices of the first grid axis that a prefix spans.
      per_frame: streams whose time is drawn for each index of their first grid axis instead
        (diffusion forcing, Chen et al. 2407.01392).
    """

    distribution: Distribution = Uniform()
    shared: float = 1.0
    independent: float = 0.0
    clean: Mapping[str, float] = dataclasses.field(default_factory=dict)
    noise: Mapping[str, float] = dataclasses.field(default_factory=dict)
    prefix: Mapping[str, float] = dataclasses.field(default_factory=dict)
    prefix_length: int = 1
    per_frame: tuple[str, ...] = ()

    def __post_init__(self):
        weights = [weight for _, weight in self._cases()]
        if min(weights) < 0.0 or sum(weights) <= 0.0:
            raise ValueError("TimeSampler: weights of cases are >= 0 and not all 0")

    def draw(
        self, key: PRNGKeyArray, streams: Mapping[str, StreamSpec], batch: int
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """``time`` of each stream that is restored over time, and ``keep [B]`` of each stream.

        A time is ``[B]``, or ``[B, n, 1, ...]`` for streams in ``per_frame`` or ``prefix``, with n
        the length of their first grid axis. Raises UserError for the name of no such stream.
        """
        self._check(streams)
        cases = self._cases()
        weights = jnp.array([weight for _, weight in cases])
        drawn = jax.random.categorical(named(key, "case"), jnp.log(weights), shape=(batch,))
        case = {label: drawn == index for index, (label, _) in enumerate(cases)}
        shared = self.distribution.draw(named(key, "shared"), (batch,))
        times, keep = {}, {}
        for name, spec in streams.items():
            keep[name] = jax.random.uniform(named(key, "keep", name), (batch,)) >= spec.drop_rate
            if spec.process.continuous:
                times[name] = self._time(named(key, "own", name), name, spec, case, shared)
        return times, keep

    def _cases(self) -> list[tuple[tuple[str, str], float]]:
        """Label (kind, stream) and weight of each case."""
        cases = [(("shared", ""), self.shared), (("independent", ""), self.independent)]
        for kind in HELD:
            cases += [((kind, name), weight) for name, weight in getattr(self, kind).items()]
        return cases

    def _time(self, key, name: str, spec: StreamSpec, case, shared):
        own = self.distribution.draw(named(key, "clip"), shared.shape)
        time = jnp.where(case["independent", ""], own, shared)
        nobody = jnp.zeros_like(time, bool)
        held = {kind: case.get((kind, name), nobody) for kind in HELD}
        if name in self.per_frame or name in self.prefix:
            time = jnp.broadcast_to(time[:, None], (time.shape[0], spec.grid[0]))
            if name in self.per_frame:
                time = self.distribution.draw(named(key, "frames"), time.shape)
            begins = jnp.arange(spec.grid[0]) < self.prefix_length
            time = jnp.where(held["prefix"][:, None] & begins, 0.0, time)
            time = time.reshape(time.shape + (1,) * (len(spec.grid) - 1))
        rows = (-1,) + (1,) * (time.ndim - 1)
        time = jnp.where(held["clean"].reshape(rows), 0.0, time)
        return jnp.where(held["noise"].reshape(rows), 1.0, time)

    def _check(self, streams: Mapping[str, StreamSpec]) -> None:
        restored = [name for name, spec in streams.items() if spec.process.continuous]
        for field in (*HELD, "per_frame"):
            for name in getattr(self, field):
                if name not in restored:
                    raise UserError(
                        f"times.{field}: {name!r} is no stream restored over time; "
                        f"these are: {', '.join(restored) or 'none'}"
                    )
