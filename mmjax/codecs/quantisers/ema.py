"""A codebook that follows averages of what falls to it, and restarts entries that nothing takes."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import Quantised, distance_losses, nearest, straight_through
from mmjax.typing import Array, Bool, Float, Int

COLLECTION, RANDOM = "codebook", "codes"
_SMOOTHING = 1e-5  # added to counts, so that an entry with none is no quotient of zeros


class MovingAverage(nn.Module):
    """Entries are moving averages of the vectors they stand for (Razavi et al. 2019, eq. 2).

    The codebook is no parameter: it lies in the collection ``codebook``, which a call with
    ``train=True`` changes (``mutable=["codebook"]``). Entries whose average count falls below
    ``reset`` restart at vectors of the batch (Jukebox, Dhariwal et al. 2020, section 3.1), drawn
    with the random stream ``codes``.

    Attributes:
      vocabulary: entries of the codebook.
      size: length of a vector.
      decay: of the averages, per step.
      reset: the average count of vectors per step below which an entry restarts; 0 for never.
      stored: whether the vectors are kept beside the averages that they are the quotient of, with
        smoothed counts; if not, they are made of these each time (Mimi).
    """

    vocabulary: int
    size: int
    decay: float = 0.99
    reset: float = 0.0
    stored: bool = True

    def setup(self):
        """The codebook with the averages that it is the quotient of."""
        shape = (self.vocabulary, self.size)
        init = nn.initializers.variance_scaling(2.0, "fan_in", "uniform", in_axis=-1, out_axis=-2)
        draw = lambda: init(self.make_rng("params"), shape)  # noqa: E731
        self.counts = self.variable(COLLECTION, "counts", jnp.ones, (self.vocabulary,))
        self.sums = self.variable(COLLECTION, "sums", draw)
        if self.stored:
            self.vectors = self.variable(COLLECTION, "vectors", lambda: self.sums.value)

    def __call__(
        self,
        x: Float[Array, "*P D"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
    ) -> Quantised:
        """Quantises with the codebook as it is, then in training moves it."""
        codes = nearest(x, self._entries())
        found = self.lookup(codes)
        losses = {"commitment": distance_losses(x, found)["commitment"]}
        if train and not self.is_initializing():
            rows = jax.lax.stop_gradient(x).reshape(-1, self.size)
            kept = jnp.ones(len(rows)) if mask is None else mask.reshape(-1).astype(jnp.float32)
            self._follow(rows, codes.reshape(-1), kept)
        return Quantised(x, straight_through(x, found), codes, losses, vocabulary=self.vocabulary)

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The vectors of these codes."""
        return jnp.take(self._entries(), codes, axis=0)

    def _entries(self) -> Float[Array, "V D"]:
        if self.stored:
            return jnp.asarray(self.vectors.value)
        return self.sums.value / jnp.maximum(self.counts.value, _SMOOTHING)[:, None]

    def _follow(
        self, rows: Float[Array, "N D"], codes: Int[Array, "N"], kept: Float[Array, "N"]
    ) -> None:
        """One step of the averages; none if no row is kept."""
        hits = jnp.zeros(self.vocabulary).at[codes].add(kept)
        totals = jnp.zeros((self.vocabulary, self.size)).at[codes].add(rows * kept[:, None])
        counts = self.decay * self.counts.value + (1.0 - self.decay) * hits
        sums = self.decay * self.sums.value + (1.0 - self.decay) * totals
        whole = jnp.sum(counts)
        smooth = (counts + _SMOOTHING) / (whole + self.vocabulary * _SMOOTHING) * whole
        new = counts, sums, sums / smooth[:, None]
        if self.reset:
            new = self._restart(*new, rows, kept)
        variables = (self.counts, self.sums, *((self.vectors,) if self.stored else ()))
        for variable, value in zip(variables, new, strict=False):
            variable.value = jnp.where(jnp.any(kept > 0), value, variable.value)

    def _restart(self, counts, sums, vectors, rows: Float[Array, "N D"], kept: Float[Array, "N"]):
        """Puts distinct kept rows in place of rare entries, as far as there are rows."""
        order = jax.random.permutation(self.make_rng(RANDOM), len(rows))
        order = order[jnp.argsort(kept[order] <= 0, stable=True)]  # kept rows before others
        rare = counts < self.reset
        rank = jnp.cumsum(rare) - 1
        rare &= rank < jnp.sum(kept > 0)
        fresh = rows[order[jnp.clip(rank, 0, len(rows) - 1)]]
        return (
            jnp.where(rare, self.reset, counts),
            jnp.where(rare[:, None], fresh * self.reset, sums),
            jnp.where(rare[:, None], fresh, vectors),
        )
