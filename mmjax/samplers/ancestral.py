"""Samplers through the posterior of a less noisy time: DDPM and DDIM, for any Gaussian path."""

import dataclasses

import jax
import jax.numpy as jnp

from mmjax.processes.base import Path, check_choice
from mmjax.rng import named
from mmjax.samplers.denoiser import Denoiser
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class Posterior:
    """q(x_s | x_t, x) of a path for s < t, a Gaussian with mean ``of_noisy x_t + of_clean x``.

    Attributes:
      of_noisy, of_clean: weights of the mean (Ho et al. 2006.11239, equation 7, for any alpha).
      small: its variance; that of a reverse step for data known to be one point.
      large: variance of the forward step from s to t; that of a reverse step for white data.
    """

    of_noisy: Float[Array, ""]
    of_clean: Float[Array, ""]
    small: Float[Array, ""]
    large: Float[Array, ""]


def posterior(path: Path, time: Float[Array, ""], target: Float[Array, ""]) -> Posterior:
    """The posterior at ``target`` given values at ``time`` and the clean values."""
    alpha, sigma = path.schedule(time)
    alpha_s, sigma_s = path.schedule(target)
    ratio = alpha / alpha_s
    forward = sigma**2 - ratio**2 * sigma_s**2
    return Posterior(
        of_noisy=ratio * sigma_s**2 / sigma**2,
        of_clean=alpha_s * forward / sigma**2,
        small=forward * sigma_s**2 / sigma**2,
        large=forward,
    )


def _noise(key, name, values):
    return jax.random.normal(named(key, name), values.shape)


@dataclasses.dataclass(frozen=True)
class DDPM(Denoiser):
    """Ancestral sampling (Ho et al. 2006.11239, algorithm 2, with any number of steps).

    Attributes:
      variance: ``"small"`` or ``"large"``, see :class:`Posterior`. No noise is added at the end.
    """

    variance: str = "small"

    def __post_init__(self):
        super().__post_init__()
        check_choice("DDPM", "variance", self.variance, ("small", "large"))

    def step(self, estimate, paths, values, time, target, key):
        """The posterior's mean for the estimated clean values, plus noise."""
        found, moved = estimate(values, time), {}
        for name, path in paths.items():
            step = posterior(path, time, target)
            mean = step.of_noisy * values[name] + step.of_clean * found[name][0]
            variance = jnp.where(target > 0.0, getattr(step, self.variance), 0.0)
            moved[name] = mean + jnp.sqrt(variance) * _noise(key, name, mean)
        return moved


@dataclasses.dataclass(frozen=True)
class DDIM(Denoiser):
    """Non-Markovian sampling (Song et al. 2010.02502, equation 12).

    Attributes:
      eta: 0 is deterministic; 1 has the variance of DDPM's ``"small"``.
    """

    eta: float = 0.0

    def step(self, estimate, paths, values, time, target, key):
        """Adds up alpha clean + sqrt(sigma^2 - d^2) noise + d new noise, of deviation d."""
        found, moved = estimate(values, time), {}
        for name, path in paths.items():
            clean, noise = found[name]
            alpha, sigma = path.schedule(target)
            variance = self.eta**2 * posterior(path, time, target).small
            kept = jnp.sqrt(jnp.maximum(sigma**2 - variance, 0.0))
            moved[name] = alpha * clean + kept * noise
            if self.eta:
                moved[name] += jnp.sqrt(variance) * _noise(key, name, clean)
        return moved
