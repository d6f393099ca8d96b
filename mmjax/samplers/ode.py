"""Deterministic samplers: solvers of the probability-flow ODE."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.processes.base import Path
from mmjax.samplers.denoiser import Denoiser
from mmjax.typing import Array, Float


def velocity(path: Path, clean: Array, noise: Array, time: Float[Array, ""]) -> Array:
    """dx/dt = alpha'(t) clean + sigma'(t) noise, of the path that ``clean`` and ``noise`` span."""
    _, (alpha_rate, sigma_rate) = jax.jvp(path.schedule, (time,), (jnp.ones_like(time),))
    return alpha_rate * clean + sigma_rate * noise


def _velocities(estimate, paths, values, time):
    found = estimate(values, time)
    return {name: velocity(path, *found[name], time) for name, path in paths.items()}


def _move(values, rates, distance):
    return {name: value + distance * rates[name] for name, value in values.items()}


@dataclasses.dataclass(frozen=True)
class Euler(Denoiser):
    """First-order steps, one evaluation each."""

    def step(self, estimate, paths, values, time, target, key):
        """Goes to x + (s - t) dx/dt."""
        return _move(values, _velocities(estimate, paths, values, time), target - time)


@dataclasses.dataclass(frozen=True)
class Heun(Denoiser):
    """Second-order steps, two evaluations each (Karras et al. 2206.00364, algorithm 1).

    The last step is Euler's, as in the paper: at time 0 the noise is not determined.
    """

    def step(self, estimate, paths, values, time, target, key):
        """Goes to x + (s - t) times the mean of dx/dt at both ends."""
        first = _velocities(estimate, paths, values, time)
        ahead = _move(values, first, target - time)

        def correct(ahead):
            second = _velocities(estimate, paths, ahead, target)
            mean = {name: 0.5 * (first[name] + second[name]) for name in first}
            return _move(values, mean, target - time)

        return jax.lax.cond(target > 0.0, correct, lambda ahead: ahead, ahead)
