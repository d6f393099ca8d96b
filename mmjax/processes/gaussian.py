"""Variance-preserving diffusion (DDPM and its continuous relatives)."""

import dataclasses
import functools
from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from mmjax.processes.base import (
    check_choice,
    draw_noise,
    mix,
    solve_clean,
    solve_noise,
    squared_error,
)
from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, PRNGKeyArray

MAX_BETA = 0.999


@functools.lru_cache
def log_alpha_bar(schedule: str, steps: int) -> np.ndarray:
    """Log of the cumulative signal power after 0, 1, ..., ``steps`` steps, in float64.

    ``linear``: beta from 1e-4 to 0.02, scaled by 1000 / steps (Ho et al. 2006.11239, section 4).
    ``scaled_linear``: beta whose root is linear from 0.00085 to 0.012 (Rombach et al. 2112.10752).
    ``cosine``: Nichol & Dhariwal 2102.09672, equation 17, beta at most 0.999.
    """
    if schedule == "linear":
        beta = np.linspace(1e-4, 0.02, steps) * (1000 / steps)
    elif schedule == "scaled_linear":
        beta = np.linspace(0.00085**0.5, 0.012**0.5, steps) ** 2 * (1000 / steps)
    else:
        level = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = 1 - level[1:] / level[:-1]
    return np.concatenate([[0.0], np.cumsum(np.log1p(-np.minimum(beta, MAX_BETA)))])


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e (Ho et al. 2006.11239, equation 4).

    The published clock counts ``steps`` discrete steps; time here is that count divided by
    ``steps``, and abar is interpolated in its logarithm in between.

    Attributes:
      prediction: ``noise``, ``clean`` or ``velocity`` alpha e - sigma x (Salimans & Ho 2202.00512).
      schedule_name: see :func:`log_alpha_bar`.
      steps: length of the published clock.
    """

    prediction: str = "noise"
    schedule_name: str = "linear"
    steps: int = 1000

    generative: ClassVar[bool] = True
    continuous: ClassVar[bool] = True

    def __post_init__(self):
        check_choice("Gaussian", "prediction", self.prediction, ("noise", "clean", "velocity"))
        schedules = ("linear", "scaled_linear", "cosine")
        check_choice("Gaussian", "schedule_name", self.schedule_name, schedules)

    def schedule(self, time: Array) -> tuple[Array, Array]:
        """sqrt(abar) and sqrt(1 - abar) at ``time``."""
        table = jnp.asarray(log_alpha_bar(self.schedule_name, self.steps), jnp.float32)
        log_power = jnp.interp(time, jnp.linspace(0.0, 1.0, self.steps + 1), table)
        return jnp.exp(0.5 * log_power), jnp.sqrt(-jnp.expm1(log_power))

    def observe(self, clean: Stream) -> Stream:
        """The stream itself, at time 0."""
        return clean

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, dict]:
        """The noisy stream at ``time``; the target is the predicted quantity."""
        noise = draw_noise(key, clean)
        alpha, sigma = self.schedule(time)
        a, s = expand_time(alpha, noise), expand_time(sigma, noise)
        ends = {"clean": clean.values, "noise": noise, "velocity": a * noise - s * clean.values}
        return mix(clean, noise, time, alpha, sigma), {"target": ends[self.prediction]}

    def loss(self, prediction: Array, target: dict, time: Array) -> Float[Array, "B *grid"]:
        """The squared error averaged over channels: L_simple (Ho et al., equation 14)."""
        return squared_error(prediction, target["target"])

    def estimate(self, prediction: Array, noisy: Array, time: Array) -> tuple[Array, Array]:
        """The clean values and the noise that a prediction implies at ``noisy``."""
        alpha, sigma = self.schedule(expand_time(time, noisy))
        if self.prediction == "velocity":  # a rotation, since alpha^2 + sigma^2 = 1
            return alpha * noisy - sigma * prediction, sigma * noisy + alpha * prediction
        if self.prediction == "clean":
            return prediction, solve_noise(prediction, noisy, alpha, sigma)
        return solve_clean(prediction, noisy, alpha, sigma), prediction
