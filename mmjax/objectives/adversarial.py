"""Two players: a generator of images from noise, a discriminator of made from real ones."""

import dataclasses
from collections.abc import Mapping

import jax

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.objectives.games import LOSSES, fool, judge_made, judge_real, lazy_r1
from mmjax.processes.base import check_choice
from mmjax.rng import named
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, Float, PRNGKeyArray

STATISTICS = "batch_stats"
PLAYERS = ("generator", "discriminator")


@dataclasses.dataclass(frozen=True)
class Adversarial(Objective):
    """The adversarial game of one stream (Goodfellow et al. 2014) with two updates a step.

    The networks ``generator(noise, train)`` and ``discriminator(values, train) -> logits`` are
    trained by the updates of the same names. Real and made examples go through the discriminator as
    two batches, so that its batch normalisation cannot compare them; each player's running moments
    move in its own update only.

    Attributes:
      streams: the system's streams.
      stream: the one that is generated.
      noise: size of the generator's noise, drawn from the standard normal.
      loss: of both players, see :mod:`mmjax.objectives.games`.
      r1: weight gamma of the gradient penalty ``gamma / 2 |grad D(real)|^2``; 0 for none.
      r1_every: steps between two penalties, see :func:`mmjax.objectives.games.lazy_r1`.
    """

    streams: Mapping[str, StreamSpec]
    stream: str = "image"
    noise: int = 100
    loss: str = "non_saturating"
    r1: float = 0.0
    r1_every: int = 16

    def __post_init__(self):
        check_choice("Adversarial", "loss", self.loss, LOSSES)
        check_choice("Adversarial", "stream", self.stream, tuple(self.streams))

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """Noise for the generator, real values for the discriminator."""
        real = self._values(batch)
        return {"generator": (self._noise(key, len(real)),), "discriminator": (real,)}

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The stream's real values."""
        return {"real": self._values(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """The terms of the player that ``update`` names."""
        if update not in PLAYERS:
            raise UserError(
                f"config.updates.{update}: an adversarial game has the updates {', '.join(PLAYERS)}"
            )
        noise = self._noise(named(key, "noise"), len(batch["real"]))
        made, moments = ctx.apply("generator", noise, train=True, mutable=[STATISTICS])
        if update == "generator":
            logits, _ = ctx.apply("discriminator", made, train=True, mutable=[STATISTICS])
            return {"generator": Term(fool(self.loss, logits))}, Aux(mutable={"generator": moments})
        return self._discriminator_terms(ctx, batch["real"], jax.lax.stop_gradient(made))

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The generator's output with its running moments."""
        if request.given or request.want != (self.stream,):
            raise UserError(f"this generator makes {self.stream!r} from nothing; ask for it alone")
        made = ctx.apply("generator", self._noise(key, request.batch))
        return {self.stream: self.streams[self.stream].make(made)}

    def _discriminator_terms(
        self, ctx: Context, real: Array, made: Array
    ) -> tuple[dict[str, Term], Aux]:
        real_logits, moments = self._judge(ctx, real)
        ctx = dataclasses.replace(ctx, mutable={**ctx.mutable, "discriminator": moments})
        made_logits, moments = self._judge(ctx, made)
        terms = {
            "real": Term(judge_real(self.loss, real_logits)),
            "made": Term(judge_made(self.loss, made_logits)),
        }
        if self.r1:
            penalty = lazy_r1(lambda x: self._judge(ctx, x)[0], real, ctx.step, self.r1_every)
            terms["r1"] = Term(penalty, weight=0.5 * self.r1)
        return terms, Aux(mutable={"discriminator": moments})

    def _judge(self, ctx: Context, values: Array) -> tuple[Float[Array, " B"], Mapping]:
        return ctx.apply("discriminator", values, train=True, mutable=[STATISTICS])

    def _noise(self, key: PRNGKeyArray, batch: int) -> Float[Array, "B Z"]:
        return jax.random.normal(key, (batch, self.noise))

    def _values(self, batch: Batch) -> Array:
        return self.streams[self.stream].encode(batch).values
