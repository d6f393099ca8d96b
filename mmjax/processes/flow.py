"""Rectified flow: the straight path from data to noise."""

import dataclasses

import jax.numpy as jnp

from mmjax.processes.base import check_choice, draw_noise, mix, squared_error
from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, PRNGKeyArray

KINDS = ("clean", "noise", "velocity")


@dataclasses.dataclass(frozen=True)
class Flow:
    """x_t = (1 - t) x + t e with velocity dx/dt = e - x (Liu et al. 2209.03003; Lipman et al. 2210.02747).

    Attributes:
      prediction: what the network outputs.
      loss_space: in which of the three quantities the error is measured. ``clean`` output measured
        as velocity weights the error by 1/t^2 (Li & He 2511.13720).
      min_time: floor of t (and of 1 - t) in conversions, which bounds that weight.
    """

    prediction: str = "velocity"
    loss_space: str = "velocity"
    min_time: float = 0.05
    generative = True
    continuous = True

    def __post_init__(self):
        check_choice("Flow", "prediction", self.prediction, KINDS)
        check_choice("Flow", "loss_space", self.loss_space, KINDS)

    def schedule(self, time: Array) -> tuple[Array, Array]:
        """alpha and sigma at ``time``."""
        return 1.0 - time, time

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, dict]:
        """The stream on its path at ``time``; the target holds both ends of the path."""
        noise = draw_noise(key, clean)
        return mix(clean, noise, time, *self.schedule(time)), {"clean": clean.values, "noise": noise}

    def loss(self, prediction: Array, target: dict, time: Array) -> Float[Array, "B *grid"]:
        """The squared error in ``loss_space``, averaged over channels."""
        t = expand_time(time, prediction)
        ends = {**target, "velocity": target["noise"] - target["clean"]}
        error = squared_error(prediction, ends[self.prediction])
        return error * self._weight(jnp.squeeze(t, -1))

    def estimate(self, prediction: Array, noisy: Array, time: Array) -> tuple[Array, Array]:
        """The clean values and the noise that a prediction implies at ``noisy``."""
        t = expand_time(time, noisy)
        if self.prediction == "velocity":
            return noisy - t * prediction, noisy + (1.0 - t) * prediction
        if self.prediction == "clean":
            return prediction, (noisy - (1.0 - t) * prediction) / jnp.maximum(t, self.min_time)
        return (noisy - t * prediction) / jnp.maximum(1.0 - t, self.min_time), prediction

    def _weight(self, t: Array) -> Array:
        # With x_t fixed, the errors are proportional: noise -(1-t)/t clean, velocity -1/t clean.
        t = jnp.clip(t, self.min_time, 1.0 - self.min_time)
        to_clean = {"clean": 1.0, "noise": t / (1.0 - t), "velocity": t}[self.prediction]
        from_clean = {"clean": 1.0, "noise": (1.0 - t) / t, "velocity": 1.0 / t}[self.loss_space]
        return jnp.square(to_clean * from_clean)
