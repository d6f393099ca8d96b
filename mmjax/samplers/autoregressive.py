"""Sampling of integer codes one after the other, with a cache of keys and values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mmjax.errors import UserError
from mmjax.rng import named
from mmjax.samplers.base import Model, Specs, Streams, Want
from mmjax.samplers.guidance import Branch, guided
from mmjax.streams import Stream, expand_time
from mmjax.typing import Array, Float, Int, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Autoregressive:
    """Draws the codes of one NextToken stream in the order of its first grid axis.

    The conditions and the first index are read in one call, then known codes (a prompt) in chunks,
    and the rest one index at a time. Prompts of any length share one compilation.

    Attributes:
      temperature: divides the logits; 0 always takes the likeliest code.
      top_k: draw among this many likeliest codes; 0 all (Fan et al. 1805.04833).
      top_p: draw among the likeliest codes that hold this much probability (Holtzman et al.
        1904.09751).
      chunk: indices of a prompt read at once.
      guidance: branches by name, acting on the logits.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    chunk: int = 64
    guidance: Mapping[str, Branch] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if (
            self.temperature < 0.0
            or self.top_k < 0
            or not 0.0 < self.top_p <= 1.0
            or self.chunk < 1
        ):
            raise ValueError(
                "Autoregressive takes temperature >= 0, top_k >= 0, 0 < top_p <= 1 and chunk >= 1"
            )

    def length(self, specs: Specs, want: Want) -> int:
        """The length of the stream's first grid axis; ``advance`` does nothing past the end."""
        return specs[_only(want)].grid[0]

    def start(
        self, model: Model, specs: Specs, streams: Streams, want: Want, key: PRNGKeyArray
    ) -> dict[str, Any]:
        """Reads conditions and prompt; what is known of the wanted stream has time 0."""
        name = _only(want)
        if specs[name].process.continuous:
            raise UserError(f"config.sampler: Autoregressive draws codes; {name!r} has none")
        stream = streams[name]
        known = jnp.broadcast_to(
            expand_time(stream.time == 0.0, stream.values), stream.values.shape
        )
        model = guided(model, self.guidance, specs, named(key, "guidance"))
        first = _piece(stream, specs[name].process.shift(stream.values), 0, 0, 1)
        predicted, cache = model.decode({**streams, name: first}, model.cache(streams))
        carry = {
            "stream": stream.replace(time=jnp.zeros_like(stream.time)),
            "known": known,
            "index": jnp.zeros((), jnp.int32),
            "logits": predicted[name][:, -1],
            "cache": cache,
            "key": key,
        }
        return self._prefill(model, name, carry)

    def advance(
        self, model: Model, specs: Specs, want: Want, carry: dict[str, Any], index: Array | int
    ) -> dict[str, Any]:
        """Draws the codes at one index, unless they are known, and reads them."""
        del index  # a prompt is ahead of the driver's count
        name, size = _only(want), carry["known"].shape[1]
        model = guided(model, self.guidance, specs, named(carry["key"], "guidance"))

        def draw(carry):
            at = carry["index"]
            drawn = self.choose(carry["logits"], named(carry["key"], "draw", at))
            stream, known = carry["stream"], carry["known"]
            old = jax.lax.dynamic_index_in_dim(stream.values, at, 1, keepdims=False)
            kept = jax.lax.dynamic_index_in_dim(known, at, 1, keepdims=False)
            code = jnp.where(kept, old, drawn.astype(old.dtype))
            values = jax.lax.dynamic_update_index_in_dim(stream.values, code, at, 1)
            carry = {**carry, "stream": stream.replace(values=values)}
            last = {**carry, "index": at + 1}
            return jax.lax.cond(at + 1 < size, lambda: _read(model, name, carry, 1), lambda: last)

        return jax.lax.cond(carry["index"] < size, draw, lambda carry: carry, carry)

    def finish(self, specs: Specs, want: Want, carry: dict[str, Any]) -> dict[str, Stream]:
        """The wanted stream; codes not yet drawn are what ``start`` was given."""
        return {_only(want): carry["stream"]}

    def choose(self, logits: Float[Array, "B *rest V"], key: PRNGKeyArray) -> Int[Array, "B *rest"]:
        """One code from each row of logits."""
        if self.temperature == 0.0:
            return jnp.argmax(logits, axis=-1)
        logits = logits.astype(jnp.float32) / self.temperature
        if self.top_k:
            logits = _keep_top_k(logits, min(self.top_k, logits.shape[-1]))
        if self.top_p < 1.0:
            logits = _keep_top_p(logits, self.top_p)
        return jax.random.categorical(key, logits)

    def _prefill(self, model: Model, name: str, carry: dict[str, Any]) -> dict[str, Any]:
        """Reads chunks while every example knows all codes of the next one."""
        size = carry["known"].shape[1]
        chunk = min(self.chunk, size - 1)
        if not chunk:
            return carry
        rows = carry["known"].reshape(*carry["known"].shape[:2], -1).all(axis=(0, 2))
        prompt = jnp.minimum(jnp.sum(jnp.cumprod(rows)), size - 1)

        def more(_, carry):
            known = carry["index"] + chunk <= prompt
            return jax.lax.cond(known, lambda: _read(model, name, carry, chunk), lambda: carry)

        # Not a loop until the prompt ends: a plan counts what a loop of known length computes.
        return jax.lax.fori_loop(0, (size - 1) // chunk, more, carry)


def _only(want: Want) -> str:
    if len(want) != 1:
        raise UserError(f"Autoregressive generates one stream at a time, not {', '.join(want)}")
    return want[0]


def _piece(
    stream: Stream, values: Array, source: Array | int, at: Array | int, size: int
) -> Stream:
    """``size`` indices of the stream from ``at`` on, with values from index ``source`` on."""

    def cut(array, start):
        return jax.lax.dynamic_slice_in_dim(array, start, size, axis=1)

    return Stream(
        values=cut(values, source),
        time=jnp.zeros(values.shape[:1]),
        mask=cut(stream.mask, at),
        positions=cut(stream.positions, at),
    )


def _read(model: Model, name: str, carry: dict[str, Any], size: int) -> dict[str, Any]:
    """Feeds the next ``size`` codes: the input at each index is the code of the one before."""
    stream, index = carry["stream"], carry["index"]
    piece = _piece(stream, stream.values, index, index + 1, size)
    predicted, cache = model.decode({name: piece}, carry["cache"])
    logits = predicted[name][:, -1]
    return {**carry, "index": index + size, "logits": logits, "cache": cache}


def _keep_top_k(logits: Array, count: int) -> Array:
    """Minus infinity below the ``count``-th largest logit."""
    smallest = jax.lax.top_k(logits, count)[0][..., -1:]
    return jnp.where(logits < smallest, -jnp.inf, logits)


def _keep_top_p(logits: Array, share: float) -> Array:
    """Minus infinity outside the smallest set of likeliest codes with probability ``share``."""
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    smallest = jnp.min(jnp.where(before < share, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits < smallest, -jnp.inf, logits)
