"""Rectified flow: the straight path from data to noise."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

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

KINDS = ("clean", "noise", "velocity")


@dataclasses.dataclass(frozen=True)
class Flow:
    """x_t = (1 - t) x + t e with velocity e - x (Liu et al. 2209.03003; Lipman et al. 2210.02747).

    Attributes:
      prediction: what the network outputs.
      loss_space: in which of the three quantities the error is measured. ``clean`` output measured
        as velocity weights the error by 1/t^2 (Li & He 2511.13720).
      min_time: floor of the divisors t and 1 - t in that weight, and of 1 - t where clean values
        follow from predicted noise, which at t = 1 says nothing about them.
    """

    prediction: str = "velocity"
    loss_space: str = "velocity"
    min_time: float = 0.05

    generative: ClassVar[bool] = True
    continuous: ClassVar[bool] = True

    def __post_init__(self):
        check_choice("Flow", "prediction", self.prediction, KINDS)
        check_choice("Flow", "loss_space", self.loss_space, KINDS)
        if not 0.0 < self.min_time < 1.0:
            raise ValueError(f"Flow.min_time must lie between 0 and 1, not {self.min_time}")

    def schedule(self, time: Array) -> tuple[Array, Array]:
        """Alpha and sigma at ``time``."""
        return 1.0 - time, time

    def observe(self, clean: Stream) -> Stream:
        """The stream itself, at time 0."""
        return clean

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, dict]:
        """The stream on its path at ``time``; the target holds both ends of the path."""
        noise = draw_noise(key, clean)
        noisy = mix(clean, noise, time, *self.schedule(time))
        return noisy, {"clean": clean.values, "noise": noise}

    def loss(self, prediction: Array, target: dict, time: Array) -> Float[Array, "B *grid"]:
        """The squared error in ``loss_space``, averaged over channels."""
        ends = {**target, "velocity": target["noise"] - target["clean"]}
        error = squared_error(prediction, ends[self.prediction])
        return error * self._weight(expand_time(time, error))

    def estimate(self, prediction: Array, noisy: Array, time: Array) -> tuple[Array, Array]:
        """The clean values and the noise that a prediction implies at ``noisy``."""
        alpha, sigma = self.schedule(expand_time(time, noisy))
        if self.prediction == "velocity":
            return noisy - sigma * prediction, noisy + alpha * prediction
        if self.prediction == "clean":
            return prediction, solve_noise(prediction, noisy, alpha, sigma)
        return solve_clean(prediction, noisy, alpha, sigma, self.min_time), prediction

    def _weight(self, t: Array) -> Array | float:
        if self.loss_space == self.prediction:
            return 1.0
        # With x_t fixed, errors of clean, noise and velocity are as t : -(1 - t) : -1.
        share = {"clean": t, "noise": 1.0 - t, "velocity": jnp.ones_like(t)}
        ratio = share[self.loss_space] / jnp.maximum(share[self.prediction], self.min_time)
        return jnp.square(ratio)
