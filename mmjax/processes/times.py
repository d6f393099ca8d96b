"""At which noise levels the streams of an example are trained, and which conditions it keeps."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import jax
import jax.numpy as jnp

from mmjax.rng import named
from mmjax.streams import StreamSpec
from mmjax.typing import Array, Float, PRNGKeyArray


class Distribution(Protocol):
    """A density over time in [0, 1]."""

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Samples of the given shape."""


def shift_time(time: Array, shift: float) -> Array:
    """t' = s t / (1 + (s - 1) t): more noise for s > 1 (Esser et al. 2403.03206, equation 23)."""
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
    time, ``independent`` times (Bao et al. 2303.06555), or one stream held ``clean`` (a condition)
    or held at pure ``noise`` (absent) with the others at a shared time.

    Attributes:
      distribution: the density of a time.
      shared, independent: weights of those cases.
      clean, noise: weight by stream name.
      per_frame: streams whose time is drawn for each index of their first grid axis instead
        (diffusion forcing, Chen et al. 2407.01392).
    """

    distribution: Distribution
    shared: float = 1.0
    independent: float = 0.0
    clean: Mapping[str, float] = dataclasses.field(default_factory=dict)
    noise: Mapping[str, float] = dataclasses.field(default_factory=dict)
    per_frame: tuple[str, ...] = ()

    def draw(
        self, key: PRNGKeyArray, streams: Mapping[str, StreamSpec], batch: int
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """``time`` of each stream that is restored over time, and ``keep [B]`` of each stream."""
        weights = jnp.array(
            [self.shared, self.independent, *self.clean.values(), *self.noise.values()]
        )
        case = jax.random.categorical(named(key, "case"), jnp.log(weights), shape=(batch,))
        shared = self.distribution.draw(named(key, "shared"), (batch,))
        times, keep = {}, {}
        for name, spec in streams.items():
            keep[name] = jax.random.uniform(named(key, "keep", name), (batch,)) >= spec.drop_rate
            if spec.process.continuous:
                own = self.distribution.draw(named(key, "own", name), (batch,))
                times[name] = self._of_case(name, case, shared, own)
                if name in self.per_frame:
                    times[name] = self._by_frame(named(key, "frames", name), spec, times[name])
        return times, keep

    def _of_case(self, name: str, case, shared, own):
        time = jnp.where(case == 1, own, shared)
        for index, held in enumerate(self.clean, start=2):
            time = jnp.where((case == index) & (held == name), 0.0, time)
        for index, held in enumerate(self.noise, start=2 + len(self.clean)):
            time = jnp.where((case == index) & (held == name), 1.0, time)
        return time

    def _by_frame(self, key, spec: StreamSpec, time):
        shape = (time.shape[0], spec.grid[0])
        frames = self.distribution.draw(key, shape)
        # An example whose stream is held clean or absent stays so in every frame.
        held = (time == 0.0) | (time == 1.0)
        frames = jnp.where(held[:, None], time[:, None], frames)
        return frames.reshape(shape + (1,) * (len(spec.grid) - 1))
