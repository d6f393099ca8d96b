"""A choice among codes by logits, relaxed so that gradients pass."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import Quantised, straight_through
from mmjax.typing import Array, Bool, Float, Int

RANDOM = "codes"


class Gumbel(nn.Module):
    """The Gumbel-softmax relaxation (Jang et al. 2017, 1611.01144, eq. 2) of DALL-E's dVAE.

    The encoder gives ``vocabulary`` logits per position. In training values are mixtures of the
    codebook's vectors with weights ``softmax((logits + gumbel) / temperature)``, the noise from the
    random stream ``codes``; otherwise the vector of the largest logit. The loss ``uniform`` is the
    KL divergence of ``softmax(logits)`` from the uniform distribution, in nats.

    Attributes:
      vocabulary: codes.
      size: length of a vector.
      temperature: of the mixtures.
      hard: whether values are the vector of the largest weight, in the gradient the mixture (ibid.,
        section 2.2), as in VQ-GAN.
    """

    vocabulary: int
    size: int
    temperature: float = 1.0
    hard: bool = False

    def setup(self):
        """The codebook."""
        init = nn.initializers.normal(1.0)
        self.codebook = self.param("codebook", init, (self.vocabulary, self.size))

    def __call__(
        self,
        x: Float[Array, "*P V"],
        *,
        train: bool = False,
        mask: Bool[Array, "*P"] | None = None,
        temperature: float | Float[Array, ""] | None = None,
    ) -> Quantised:
        """Quantises logits; ``mask`` changes nothing, for the loss is per vector.

        A ``temperature`` that falls while a model learns takes the place of the field.
        """
        if temperature is None:
            temperature = self.temperature
        logs = jax.nn.log_softmax(x, axis=-1)
        uniform = jnp.sum(jnp.exp(logs) * logs, axis=-1) + jnp.log(float(self.vocabulary))
        if train:
            noisy = x + jax.random.gumbel(self.make_rng(RANDOM), x.shape)
            shares = jax.nn.softmax(noisy / temperature, axis=-1)
            codes = jnp.argmax(noisy, axis=-1).astype(jnp.int32)
            if self.hard:
                shares = straight_through(shares, jax.nn.one_hot(codes, self.vocabulary))
            values = shares @ self.codebook
        else:
            codes = jnp.argmax(x, axis=-1).astype(jnp.int32)
            values = self.lookup(codes)
        return Quantised(x, values, codes, {"uniform": uniform}, vocabulary=self.vocabulary)

    def lookup(self, codes: Int[Array, "*P"]) -> Float[Array, "*P D"]:
        """The vectors of these codes."""
        return jnp.take(self.codebook, codes, axis=0)
