"""EnCodec's balancer: weights are shares of the gradient at the output, whatever the losses' scale.

Defossez et al. 2022 (2210.13438), section 3.4, equation 4.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

import jax
import jax.numpy as jnp

from mmjax.objectives.base import Aux, Context, Term
from mmjax.objectives.coding import ADVERSARIAL, Coding
from mmjax.objectives.critic import CRITIC
from mmjax.rng import named
from mmjax.tree import pytree
from mmjax.typing import Array, Batch, Float, PRNGKeyArray

_EPS = 1e-12
Loss = Callable[[Array], Array]  # of an output [B, ...], per example [B]


@pytree
@dataclasses.dataclass(frozen=True)
class Norms:
    """Moving averages of the lengths of gradients, as sums over a discounted count.

    Attributes:
      sums: by loss.
      count: the same sum of ones, so that averages are unbiased from the first step.
    """

    sums: Mapping[str, Float[Array, ""]]
    count: Float[Array, ""]


def begin(names: Iterable[str]) -> Norms:
    """Nothing is known yet of the gradients of these losses."""
    return Norms({name: jnp.zeros(()) for name in names}, jnp.zeros(()))


def balance(
    output: Float[Array, "B *P"],
    losses: Mapping[str, Loss],
    weights: Mapping[str, float | Float[Array, ""]],
    norms: Norms,
    decay: float,
) -> tuple[dict[str, Term], Norms]:
    """Terms with the losses' values, whose gradient at ``output`` is shared out by weight.

    The gradient of loss ``i`` becomes ``weight_i / sum(weights) * g_i / <|g_i|>``, where ``<>`` is
    the moving average over steps of the mean length over examples. It is averaged over examples
    like that of any other term, where the authors add it up over those of a device.

    Args:
      output: what the network made.
      losses: by name.
      weights: of the same names, not negative.
      norms: the averages until now.
      decay: of the averages per step.
    """
    total = jnp.maximum(sum(weights.values()), _EPS)
    terms, sums, count = {}, {}, decay * norms.count + 1.0
    for name, loss in losses.items():
        values, pull = jax.vjp(loss, jax.lax.stop_gradient(output))
        gradient = pull(jnp.ones_like(values))[0]
        lengths = jnp.sqrt(jnp.sum(jnp.square(gradient), axis=tuple(range(1, gradient.ndim))))
        sums[name] = jax.lax.stop_gradient(decay * norms.sums[name] + jnp.mean(lengths))
        slope = gradient / (total * (sums[name] / count + _EPS))
        terms[name] = Term(_with_slope(values, output, slope), weight=weights[name])
    return terms, Norms(sums, count)


@dataclasses.dataclass(frozen=True)
class BalancedCoding(Coding):
    """A codec's objective whose errors and critic share the gradient at the reconstruction.

    The weights of the errors and of the critic are their shares; those of the bottleneck's losses,
    which are no functions of the reconstruction, are factors as ever.

    Attributes:
      decay: of the moving averages of the lengths of gradients, per step.
    """

    decay: float = 0.999
    whole_batch = True

    def init_state(self, batch: Batch) -> Norms:
        """The balancer's averages."""
        return begin((*self.errors, *((ADVERSARIAL,) if self.critic else ())))

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The terms of the player that ``update`` names."""
        if self.critic and update == CRITIC:
            return super().terms(ctx, batch, key, update)
        real = batch["values"]
        found, changed = self._encode(ctx, real, key)
        losses = {name: functools.partial(_mean, e, ctx, real) for name, e in self.errors.items()}
        weights = {name: error.weight for name, error in self.errors.items()}
        if self.critic:
            losses[ADVERSARIAL] = functools.partial(self.critic.fooled, ctx)
            weights[ADVERSARIAL] = self.critic.weight * self.critic.begun(ctx)
        made = self._decode(ctx, found.read(named(key, "posterior")))
        terms, norms = balance(made, losses, weights, ctx.state, self.decay)
        terms |= self._penalised(found, real)
        return terms, Aux(norms, {self.network: changed}, found.use())


def _mean(error: Callable, ctx: Context, real: Array, made: Array) -> Float[Array, " B"]:
    values = error(ctx, made, real)
    return jnp.mean(values.reshape(len(values), -1), axis=-1)


def _with_slope(values: Array, output: Array, slope: Array) -> Float[Array, " B"]:
    """``values``, with ``slope`` for its gradient with respect to ``output``."""
    values, slope = jax.lax.stop_gradient((values, slope))
    inner = jnp.sum(output * slope, axis=tuple(range(1, output.ndim)))
    return values + (inner - jax.lax.stop_gradient(inner))  # a zero, exactly
