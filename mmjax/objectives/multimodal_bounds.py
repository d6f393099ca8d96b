"""Lower bounds on the evidence log p(x) of latent-variable models, by samples of the latents.

A posterior has ``draw(key, count) -> [K, B, Z]`` and ``log_density(values)`` per coordinate. Log
weights are ``log p(x, z) - log q(z)``, ``[K, B]``; their exponentials average to p(x).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from mmjax.rng import named
from mmjax.typing import Array, Float, PRNGKeyArray

LogWeights = Callable[[Array], Array]  # latents [K, B, Z] -> [K, B]


def log_mean_exp(values: Float[Array, "N *rest"]) -> Float[Array, "*rest"]:
    """The log of the mean of exponentials over the first axis."""
    return logsumexp(values, axis=0) - jnp.log(len(values))


def log_mixture(posteriors: Sequence[Any], latents: Float[Array, "K B Z"]) -> Float[Array, "K B"]:
    """The log density at ``latents`` of the mixture of posteriors with equal shares."""
    return log_mean_exp(jnp.stack([jnp.sum(q.log_density(latents), axis=-1) for q in posteriors]))


def elbo(log_weights: LogWeights, latents: Float[Array, "K B Z"]) -> Float[Array, "B"]:
    """The evidence lower bound (Kingma & Welling 2013, eq. 2), its divergence sampled too."""
    return jnp.mean(log_weights(latents), axis=0)


def iwae(log_weights: LogWeights, latents: Float[Array, "K B Z"]) -> Float[Array, "B"]:
    """The importance-weighted bound (Burda et al. 2015, 1509.00519, eq. 8)."""
    return log_mean_exp(log_weights(latents))


def dreg(log_weights: LogWeights, latents: Float[Array, "K B Z"]) -> Float[Array, "B"]:
    """The importance-weighted bound with the doubly reparametrised gradient.

    Tucker et al. 2018, 1810.04152, eq. 8: the posterior learns through the latents alone, each
    weighed by the square of its share; all else learns by the shares, as in :func:`iwae`. The
    caller stops the gradient of the posterior's density in ``log_weights``.
    """
    frozen = jax.lax.stop_gradient
    found = frozen(log_weights(latents))
    shares = jax.nn.softmax(found, axis=0)
    slowed = frozen(latents) + shares[..., None] * (latents - frozen(latents))
    weighed = jnp.sum(shares * log_weights(slowed), axis=0)
    return log_mean_exp(found) + weighed - frozen(weighed)


ESTIMATORS = {"elbo": elbo, "iwae": iwae, "dreg": dreg}


def evidence(
    posteriors: Sequence[Any],
    log_joint: LogWeights,
    key: PRNGKeyArray,
    *,
    draws: int,
    estimator: str,
) -> Float[Array, "B"]:
    """A lower bound on log p(x) from a mixture of posteriors, sampled from each as often.

    Shi et al. 2019, 1911.03393, eq. 3: one bound for each posterior's samples, all weighed by the
    density of the whole mixture; their mean.

    Args:
      posteriors: the mixture's components.
      log_joint: log p(x, z).
      key: of the samples.
      draws: samples of each component.
      estimator: a key of ``ESTIMATORS``.
    """
    mixture = list(posteriors)
    if estimator == "dreg":
        mixture = jax.lax.stop_gradient(mixture)

    def log_weights(latents: Array) -> Array:
        return log_joint(latents) - log_mixture(mixture, latents)

    bounds = [
        ESTIMATORS[estimator](log_weights, posterior.draw(named(key, index), draws))
        for index, posterior in enumerate(posteriors)
    ]
    return jnp.mean(jnp.stack(bounds), axis=0)
