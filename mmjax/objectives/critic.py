"""The second player of a codec: a network that tells what was coded from what was not."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from mmjax import tree
from mmjax.objectives.base import Aux, Context, Term
from mmjax.objectives.games import LOSSES, fool, judge_made, judge_real, lazy_r1
from mmjax.processes.base import check_choice
from mmjax.typing import Array, Float, Params, Tree

CRITIC = "discriminator"
_FLOOR, _CEILING = 1e-4, 1e4  # of the adaptive weight, as published

# One entry for each of the judges that a network holds: what its layers find, its logits last.
Verdicts = Sequence[Sequence[Array]]


@dataclasses.dataclass(frozen=True)
class Critic:
    """How a network ``discriminator(values, train) -> verdicts`` judges reconstructions.

    A network may hold several judges, of patches or scales or periods: a verdict is what one finds,
    layer by layer, its logits last. Every judge counts alike, however many logits it gives.

    Attributes:
      loss: of both players, see :mod:`mmjax.objectives.games`.
      weight: of the judgement in the codec's loss.
      starts: the step from which both players heed each other.
      last: the path of the kernel of the codec's last layer. Where there is one, the weight is
        multiplied by how much stronger the errors pull at it than the critic does (VQ-GAN, Esser
        et al. 2021, 2012.09841, eq. 7).
      r1: weight gamma of the gradient penalty ``gamma / 2 |grad D(real)|^2``; 0 for none.
      r1_every: steps between two penalties, see :func:`mmjax.objectives.games.lazy_r1`.
    """

    loss: str = "hinge"
    weight: float = 1.0
    starts: int = 0
    last: str = ""
    r1: float = 0.0
    r1_every: int = 16

    def __post_init__(self):
        check_choice("Critic", "loss", self.loss, LOSSES)

    def terms(self, ctx: Context, real: Array, made: Array) -> tuple[dict[str, Term], Aux]:
        """The critic's own: real and made examples are two batches to its normalisation."""
        verdicts, moments = self._judge(ctx, real)
        ctx = dataclasses.replace(ctx, mutable={**ctx.mutable, CRITIC: moments})
        on_real = _mean(judge_real, self.loss, verdicts)
        verdicts, moments = self._judge(ctx, jax.lax.stop_gradient(made))
        on_made = _mean(judge_made, self.loss, verdicts)
        weight = 0.5 * self.begun(ctx)
        terms = {"real": Term(on_real, weight=weight), "made": Term(on_made, weight=weight)}
        if self.r1:
            penalty = lazy_r1(lambda x: self._logit(ctx, x), real, ctx.step, self.r1_every)
            terms["r1"] = Term(penalty, weight=self.r1 * weight)
        return terms, Aux(mutable={CRITIC: moments})

    def fooled(self, ctx: Context, made: Array) -> Float[Array, " B"]:
        """The codec's loss before this critic, whose moments stay as they are."""
        return _mean(fool, self.loss, self._judge(ctx, made)[0])

    def share(
        self,
        ctx: Context,
        network: str,
        decode: Callable[[Params], Array],
        error: Callable[[Array], Float[Array, ""]],
    ) -> Float[Array, ""]:
        """What multiplies :meth:`fooled` in the loss of the codec.

        Args:
          ctx: the state.
          network: the codec's name.
          decode: from the parameters of all networks to the reconstruction.
          error: the weighted errors of a reconstruction.
        """
        weight = self.weight * self.begun(ctx)
        if not self.last:
            return weight
        # Stopped here, or the slopes would be differentiated once more for nothing.
        ctx = dataclasses.replace(ctx, params=jax.lax.stop_gradient(ctx.params))
        flat = tree.flatten(ctx.params[network])
        if self.last not in flat:
            raise ValueError(f"Critic.last: {network!r} has no parameter {self.last!r}")

        def with_last(kernel: Array) -> Array:
            params = tree.unflatten({**flat, self.last: kernel})
            return decode({**ctx.params, network: params})

        made, pull = jax.vjp(with_last, flat[self.last])
        slopes = (
            jax.grad(error)(made),
            jax.grad(lambda made: jnp.mean(self.fooled(ctx, made)))(made),
        )
        wrong, fooling = (jnp.linalg.norm(pull(slope)[0].reshape(-1)) for slope in slopes)
        return weight * jnp.minimum(wrong / (fooling + _FLOOR), _CEILING)

    def _logit(self, ctx: Context, values: Array) -> Float[Array, " B"]:
        return _mean(lambda _, logits: logits, self.loss, self._judge(ctx, values)[0])

    def _judge(self, ctx: Context, values: Array) -> tuple[Verdicts, Tree]:
        collections = list(ctx.mutable.get(CRITIC, {}))
        return ctx.apply(CRITIC, values, train=True, mutable=collections)

    def begun(self, ctx: Context) -> Float[Array, ""]:
        """1 from the step on from which both players heed each other, before it 0."""
        return (jnp.asarray(ctx.step) >= self.starts).astype(jnp.float32)


def _mean(rule: Callable, loss: str, verdicts: Verdicts) -> Float[Array, " B"]:
    """A loss of each example: over the logits of a judge, then over judges."""
    losses = [rule(loss, verdict[-1].astype(jnp.float32)) for verdict in verdicts]
    return sum(jnp.mean(x.reshape(len(x), -1), axis=-1) for x in losses) / len(losses)
