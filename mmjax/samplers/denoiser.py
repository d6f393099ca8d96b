"""What every sampler over time shares: wanted streams go together from time 1 to time 0."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.processes.base import Path, solve_noise
from mmjax.processes.times import shift_time
from mmjax.rng import named
from mmjax.samplers.base import Predictor, Specs, Streams, Want
from mmjax.samplers.guidance import Branch, guided
from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, PRNGKeyArray

Values = dict[str, Array]  # the wanted streams' values
Estimate = Callable[[Values, Array], dict[str, tuple[Array, Array]]]  # clean values and noise


@dataclasses.dataclass(frozen=True)
class Denoiser(abc.ABC):
    """Moves all wanted streams over one grid of times; a subclass says how one step goes.

    What a wanted stream's own time marks as known (0) is held at its values and shown to the model
    as clean.

    Attributes:
      steps: number of steps.
      shift: see :func:`mmjax.processes.times.shift_time`.
      clip: bound by stream of the absolute clean estimate; the noise then follows from the bounded
        one.
      guidance: branches by name.
    """

    steps: int = 50
    shift: float = 1.0
    clip: Mapping[str, float] = dataclasses.field(default_factory=dict)
    guidance: Mapping[str, Branch] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"{type(self).__name__}.steps must be at least 1, not {self.steps}")

    def length(self, specs: Specs, want: Want) -> int:
        """The number of steps."""
        return self.steps

    def times(self) -> Float[Array, "_"]:
        """``[steps + 1]`` times from 1 to 0."""
        return shift_time(jnp.linspace(1.0, 0.0, self.steps + 1), self.shift)

    def start(
        self, model: Predictor, specs: Specs, streams: Streams, want: Want, key: PRNGKeyArray
    ) -> dict[str, Any]:
        """Wanted streams at pure noise except where they are known, given ones untouched."""
        for name in want:
            if not specs[name].process.continuous:
                kind = type(specs[name].process).__name__
                raise UserError(
                    f"config.sampler: {type(self).__name__} restores streams over time; "
                    f"{name!r} is {kind}"
                )
        begun, free = dict(streams), {}
        for name in want:
            stream = streams[name]
            free[name] = stream.time > 0.0
            noise = jax.random.normal(named(key, "start", name), stream.values.shape)
            begun[name] = _where(free[name], noise, 1.0, stream)
        return {"streams": begun, "free": free, "key": key}

    def advance(
        self, model: Predictor, specs: Specs, want: Want, carry: dict[str, Any], index: Array | int
    ) -> dict[str, Any]:
        """All wanted streams move from one time to the next."""
        streams, key = carry["streams"], carry["key"]
        model = guided(model, self.guidance, specs, named(key, "guidance"))
        paths = {name: specs[name].process for name in want}
        times = self.times()
        time, target = times[index], times[index + 1]

        def place(values: Values, time: Array) -> dict[str, Stream]:
            placed = {n: _where(carry["free"][n], values[n], time, streams[n]) for n in want}
            return streams | placed

        def estimate(values: Values, time: Array) -> dict[str, tuple[Array, Array]]:
            predicted = model(place(values, time))
            found = {n: paths[n].estimate(predicted[n], values[n], time) for n in want}
            for name in set(self.clip) & set(want):
                found[name] = self._clipped(name, paths[name], found[name], values[name], time)
            return found

        values = {name: streams[name].values for name in want}
        values = self.step(estimate, paths, values, time, target, named(key, "step", index))
        return {**carry, "streams": place(values, target)}

    def finish(self, specs: Specs, want: Want, carry: dict[str, Any]) -> dict[str, Stream]:
        """The wanted streams."""
        return {name: carry["streams"][name] for name in want}

    @abc.abstractmethod
    def step(
        self,
        estimate: Estimate,
        paths: Mapping[str, Path],
        values: Values,
        time: Float[Array, ""],
        target: Float[Array, ""],
        key: PRNGKeyArray,
    ) -> Values:
        """The values at time ``target``, from those at ``time``."""

    def _clipped(self, name: str, path: Path, found, values: Array, time: Array):
        clean = jnp.clip(found[0], -self.clip[name], self.clip[name])
        return clean, solve_noise(clean, values, *path.schedule(time))


def _where(free: Array, values: Array, time: Array | float, stream: Stream) -> Stream:
    """``values`` at ``time`` where the stream is free, its own values at time 0 elsewhere."""
    return stream.replace(
        values=jnp.where(expand_time(free, values), values, stream.values),
        time=jnp.where(free, time, 0.0),
    )
