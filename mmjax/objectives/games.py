"""What two players lose: a judge of real and made examples, and who wants to be taken for real."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mmjax.typing import Array, Float

LOSSES = ("hinge", "least_squares", "non_saturating")


def judge_real(loss: str, logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """The judge's loss for its logits of real examples.

    Args:
      loss: ``"non_saturating"`` (Goodfellow et al. 2014, section 3), ``"hinge"`` (Lim & Ye 2017,
        1705.02894) or ``"least_squares"`` (Mao et al. 2017, 1611.04076, eq. 9).
      logits: positive for what is taken as real.
    """
    if loss == "least_squares":
        return jnp.square(1.0 - logits)
    return jax.nn.relu(1.0 - logits) if loss == "hinge" else jax.nn.softplus(-logits)


def judge_made(loss: str, logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """The judge's loss for its logits of made examples."""
    if loss == "least_squares":
        return jnp.square(logits)
    return jax.nn.relu(1.0 + logits) if loss == "hinge" else jax.nn.softplus(logits)


def fool(loss: str, logits: Float[Array, "..."]) -> Float[Array, "..."]:
    """The maker's loss for the judge's logits of what it made."""
    if loss == "least_squares":
        return jnp.square(1.0 - logits)
    return -logits if loss == "hinge" else jax.nn.softplus(-logits)


def lazy_r1(
    judge: Callable[[Array], Array],
    real: Float[Array, "B *P"],
    step: Array | int,
    every: int,
) -> Float[Array, " B"]:
    """The gradient penalty ``|grad D(real)|^2`` (Mescheder et al. 2018, eq. 9), to weigh by half.

    Args:
      judge: from examples to a logit of each.
      real: the examples.
      step: the training step.
      every: steps between two penalties, each then so many times as strong (lazy regularisation;
        Karras et al. 2019, appendix B); in between it is zero, and nothing is computed.
    """

    def squares(real: Array) -> Array:
        gradient = jax.grad(lambda x: jnp.sum(judge(x)))(real)
        return every * jnp.sum(jnp.square(gradient), axis=tuple(range(1, real.ndim)))

    due = jnp.asarray(step) % every == 0
    return jax.lax.cond(due, squares, lambda real: jnp.zeros(len(real)), real)
