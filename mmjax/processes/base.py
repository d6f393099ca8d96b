"""The contract of a process, and the arithmetic that Flow and Gaussian share."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, PRNGKeyArray

FLOOR = 1e-5  # keeps a division by a vanishing coefficient finite where its result is not used


@runtime_checkable
class Process(Protocol):
    """Corruption of one stream's values, its training target, and the way back.

    ``generative`` says whether the stream can be sampled; a condition cannot. ``continuous`` says
    whether values are floats restored along a time axis from 1 to 0; such a process also has
    ``schedule`` and ``estimate``.
    """

    generative: bool
    continuous: bool

    def observe(self, clean: Stream) -> Stream:
        """The stream as the network sees it where its content is known: a condition."""

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, Any]:
        """The noisy stream at ``time`` and the target that ``loss`` takes."""

    def loss(self, prediction: Array, target: Any, time: Array) -> Float[Array, "B *grid"]:
        """The error per grid point, unreduced, of the network's output."""


@runtime_checkable
class Path(Process, Protocol):
    """A continuous process: values at time t are alpha(t) clean + sigma(t) noise."""

    def schedule(self, time: Array) -> tuple[Array, Array]:
        """Alpha and sigma, of the shape of ``time``."""

    def estimate(self, prediction: Array, noisy: Array, time: Array) -> tuple[Array, Array]:
        """The clean values and the noise that a prediction at ``noisy`` implies."""


def solve_noise(clean: Array, noisy: Array, alpha: Array, sigma: Array) -> Array:
    """The noise for which ``noisy = alpha clean + sigma noise``."""
    return (noisy - alpha * clean) / jnp.maximum(sigma, FLOOR)


def solve_clean(
    noise: Array, noisy: Array, alpha: Array, sigma: Array, floor: float = FLOOR
) -> Array:
    """The clean values of ``noisy = alpha clean + sigma noise``; ``floor`` bounds 1/alpha."""
    return (noisy - sigma * noise) / jnp.maximum(alpha, floor)


def draw_noise(key: PRNGKeyArray, clean: Stream) -> Float[Array, "B *grid C"]:
    """Standard normal noise shaped like the stream's values."""
    return jax.random.normal(key, clean.values.shape, jnp.float32)


def mix(clean: Stream, noise: Array, time: Array, alpha: Array, sigma: Array) -> Stream:
    """The stream whose values are ``alpha clean + sigma noise``, marked with its time."""
    values = expand_time(alpha, noise) * clean.values + expand_time(sigma, noise) * noise
    return clean.replace(values=values, time=time)


def squared_error(prediction: Array, target: Array) -> Float[Array, "B *grid"]:
    """The squared error, averaged over channels, in float32."""
    return jnp.mean(jnp.square(prediction.astype(jnp.float32) - target), axis=-1)


def check_choice(owner: str, field: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ValueError unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{owner}.{field} must be one of {', '.join(allowed)}, not {value!r}")
