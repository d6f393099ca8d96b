"""A codec whose choice of codes is relaxed: the bound, and what is annealed while it learns."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.objectives.base import Aux, Context, Objective, Request, Term
from mmjax.processes.base import check_choice
from mmjax.processes.likelihood import Likelihood
from mmjax.rng import named, named_keys
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Batch, Float, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Annealed:
    """A number that goes to another along half a cosine and stays there.

    Attributes:
      first: at step 0.
      last: from step ``steps`` on.
      steps: how many it takes.
    """

    first: float
    last: float
    steps: int

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"Annealed.steps must be at least 1, not {self.steps}")

    def at(self, step: Array | int) -> Float[Array, ""]:
        """The number at a step."""
        done = jnp.minimum(jnp.asarray(step, jnp.float32) / self.steps, 1.0)
        return self.last + (self.first - self.last) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))


@dataclasses.dataclass(frozen=True)
class Relaxed(Objective):
    """DALL-E's first stage (Ramesh et al. 2021, 2102.12092, eq. 1 and appendix A.2).

    The network has ``encode(values, train, temperature) -> found``, whose loss ``uniform`` is the
    divergence of its codes from the even distribution, and ``decode(found.values) -> predictions``;
    the stream's process is the likelihood of its values around these. The loss is the negative
    bound over the number of values, with the divergence weighed.

    Attributes:
      streams: the system's streams.
      temperature: of the mixtures that stand for codes.
      divergence: weight of the divergence, beta.
      stream: the one that is coded.
      network: the codec's name.
    """

    streams: Mapping[str, StreamSpec]
    temperature: Annealed
    divergence: Annealed
    stream: str = "image"
    network: str = "autoencoder"

    def __post_init__(self):
        check_choice("Relaxed", "stream", self.stream, tuple(self.streams))
        if not isinstance(self.streams[self.stream].process, Likelihood):
            raise UserError(f"config.streams.{self.stream}.process: must be a Likelihood here")

    @property
    def reconstructs(self) -> tuple[str, ...]:
        """The stream, which comes back as it was given."""
        return (self.stream,)

    def inputs(self, batch: Batch, key: PRNGKeyArray) -> dict[str, tuple]:
        """The stream's clean values."""
        return {self.network: (self.streams[self.stream].encode(batch).values,)}

    def prepare(self, ctx: Context, batch: Batch, key: PRNGKeyArray) -> Batch:
        """The clean stream."""
        return {"clean": self.streams[self.stream].encode(batch)}

    def terms(
        self, ctx: Context, batch: Batch, key: PRNGKeyArray, update: str
    ) -> tuple[dict[str, Term], Aux]:
        """``-log p`` per value and the divergence of each code in nats; logs the temperature."""
        clean = batch["clean"]
        temperature = self.temperature.at(ctx.step)
        found = ctx.apply(
            self.network, clean.values, method="encode", train=True, temperature=temperature,
            rngs=named_keys(named(key, "network"), "codes"),
        )  # fmt: skip
        predicted = ctx.apply(self.network, found.values, method="decode")
        losses = self.streams[self.stream].process.loss(predicted, clean.values, clean.time)
        codes_per_value = found.codes.size / clean.values.size
        return {
            self.stream: Term(losses, weight=1.0 / clean.values.shape[-1]),
            "divergence": Term(
                found.losses["uniform"], weight=self.divergence.at(ctx.step) * codes_per_value
            ),
        }, Aux(metrics=found.use() | {"temperature": temperature})

    def sample(self, ctx: Context, request: Request, key: PRNGKeyArray) -> dict[str, Stream]:
        """The given stream as it comes back through its codes.

        Raises:
          UserError: the stream is not given; a codec has nothing to generate from.
        """
        if self.stream not in request.given:
            raise UserError(f"a codec only gives back what it is given; give it {self.stream!r}")
        given = request.given[self.stream]
        found = ctx.apply(self.network, given.values, method="encode")
        predicted = ctx.apply(self.network, found.values, method="decode")
        values = self.streams[self.stream].process.mode(predicted)
        return {self.stream: given.replace(values=values)}
