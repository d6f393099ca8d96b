"""The contract of a process, and the arithmetic that Flow and Gaussian share."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, PRNGKeyArray


class Process(Protocol):
    """Corruption of one stream's values, its training target, and the way back.

    ``generative`` says whether the stream can be sampled; a condition cannot. ``continuous`` says
    whether values are floats restored along a time axis from 1 to 0.
    """

    generative: bool
    continuous: bool

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, Any]:
        """The noisy stream at ``time`` and the target that ``loss`` takes."""

    def loss(self, prediction: Array, target: Any, time: Array) -> Float[Array, "B *grid"]:
        """The error per grid point, unreduced, of the network's output."""


def to_clean_and_noise(kind: str, prediction, noisy, alpha, sigma):
    """Solves ``noisy = alpha clean + sigma noise`` for both, given a prediction of one ``kind``.

    ``velocity`` here is the variance-preserving one, alpha noise - sigma clean (Salimans & Ho 2022).
    """
    if kind == "clean":
        return prediction, (noisy - alpha * prediction) / jnp.maximum(sigma, 1e-5)
    if kind == "noise":
        return (noisy - sigma * prediction) / jnp.maximum(alpha, 1e-5), prediction
    scale = alpha**2 + sigma**2
    return (alpha * noisy - sigma * prediction) / scale, (sigma * noisy + alpha * prediction) / scale


def draw_noise(key: PRNGKeyArray, clean: Stream) -> jax.Array:
    """Standard normal noise shaped like the stream's values."""
    return jax.random.normal(key, clean.values.shape, jnp.float32)


def mix(clean: Stream, noise, time, alpha, sigma) -> Stream:
    """The stream whose values are ``alpha clean + sigma noise``, marked with its time."""
    values = expand_time(alpha, noise) * clean.values + expand_time(sigma, noise) * noise
    return clean.replace(values=values, time=time)


def squared_error(prediction, target) -> Float[Array, "B *grid"]:
    """The squared error, averaged over channels, in float32."""
    return jnp.mean(jnp.square(prediction.astype(jnp.float32) - target), axis=-1)


def check_choice(owner: str, field: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ValueError unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{owner}.{field} must be one of {', '.join(allowed)}, not {value!r}")
