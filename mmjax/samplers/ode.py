"""Deterministic samplers of streams that are restored over time."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from mmjax.processes.times import shift_time
from mmjax.rng import named
from mmjax.samplers.base import Model
from mmjax.samplers.guidance import Branch, guided
from mmjax.streams import Stream, StreamSpec, expand_time
from mmjax.typing import Array, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """What every sampler over a time grid from 1 to 0 shares; a subclass says how one step goes.

    Attributes:
      steps: number of steps.
      shift: see :func:`mmjax.processes.times.shift_time`.
      guidance: branches by name.
    """

    steps: int = 50
    shift: float = 1.0
    guidance: Mapping[str, Branch] = dataclasses.field(default_factory=dict)

    def length(self, specs: Mapping[str, StreamSpec], want: tuple[str, ...]) -> int:
        """The number of steps."""
        return self.steps

    def times(self) -> jax.Array:
        """``[steps + 1]`` times from 1 to 0."""
        return shift_time(jnp.linspace(1.0, 0.0, self.steps + 1), self.shift)

    def start(self, model: Model, specs, streams, want, key: PRNGKeyArray) -> dict:
        """Wanted streams at pure noise, given ones untouched."""
        begun = dict(streams)
        for name in want:
            values = jax.random.normal(named(key, "start", name), streams[name].values.shape)
            begun[name] = streams[name].replace(values=values)
        return {"streams": begun, "key": named(key, "steps")}

    def advance(self, model: Model, specs, want, carry: dict, index: Array) -> dict:
        """All wanted streams move together from one time to the next."""
        key = named(carry["key"], index)
        model = guided(model, self.guidance, specs, named(carry["key"], "guidance"))
        times = self.times()
        moved = self.step(model, specs, want, carry["streams"], times[index], times[index + 1], key)
        return {"streams": moved, "key": carry["key"]}

    def finish(self, specs, want, carry: dict) -> dict[str, Stream]:
        """The wanted streams."""
        return {name: carry["streams"][name] for name in want}

    def step(self, model, specs, want, streams, time, target, key) -> dict[str, Stream]:
        """The streams at time ``target``, from those at ``time``."""
        raise NotImplementedError


def at_time(streams: Mapping[str, Stream], want: tuple[str, ...], time: Array) -> dict[str, Stream]:
    """The streams with the wanted ones marked as being at ``time``."""
    marked = dict(streams)
    for name in want:
        marked[name] = marked[name].replace(time=jnp.broadcast_to(time, marked[name].time.shape))
    return marked


def estimates(model, specs, want, streams, time) -> dict[str, tuple[Array, Array]]:
    """Clean values and noise of each wanted stream, as the model sees them at ``time``."""
    marked = at_time(streams, want, time)
    predictions, _ = model(marked)
    return {
        name: specs[name].process.estimate(
            predictions[name], marked[name].values, marked[name].time
        )
        for name in want
    }


def velocity(process, clean: Array, noise: Array, time: Array) -> Array:
    """dx/dt = alpha'(t) clean + sigma'(t) noise, of the path that ``clean`` and ``noise`` span."""
    (_, _), (alpha_rate, sigma_rate) = jax.jvp(
        process.schedule, (time,), (jnp.ones_like(time),)
    )
    return expand_time(alpha_rate, clean) * clean + expand_time(sigma_rate, noise) * noise


def velocities(model, specs, want, streams, time) -> dict[str, Array]:
    """The probability-flow velocity of each wanted stream at ``time``."""
    found = estimates(model, specs, want, streams, time)
    return {
        name: velocity(specs[name].process, *found[name], jnp.asarray(time, jnp.float32))
        for name in want
    }


def move(streams, want, rates, distance) -> dict[str, Stream]:
    """The wanted streams moved by ``distance`` in time along ``rates``."""
    moved = dict(streams)
    for name in want:
        moved[name] = moved[name].replace(values=moved[name].values + distance * rates[name])
    return moved


@dataclasses.dataclass(frozen=True)
class Euler(Denoiser):
    """First-order steps along the probability-flow ODE."""

    def step(self, model, specs, want, streams, time, target, key) -> dict[str, Stream]:
        """x + (s - t) dx/dt."""
        return move(
            streams, want, velocities(model, specs, want, streams, time), target - time
        )
