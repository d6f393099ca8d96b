"""Sound as the coefficients of an invertible lapped transform, which keeps every onset in place."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from mmjax.errors import UserError
from mmjax.typing import Array, Float


@dataclasses.dataclass(frozen=True)
class MDCT:
    """The modified discrete cosine transform as an orthonormal map from waveform to tokens.

    Block ``m`` owns the samples ``[m * hop, (m + 1) * hop)``. Across each inner boundary the
    samples within ``hop / 2`` of it are rotated in mirrored pairs by the sine window (time-domain
    alias cancellation; Princen & Bradley 1986, eq. 18, in the block form of Malvar 1992), then each
    block goes through an orthonormal DCT-IV. The two ends of the clip are hard edges without
    overlap, so a clip of ``n * hop`` samples has exactly ``n`` blocks and the map is a square
    orthogonal matrix: it inverts exactly and keeps energy.

    Coefficients ``c`` are compressed to ``scale * sign(c) * |c| ** exponent``, which lifts the
    faint partials of a struck tone towards the range of the loud ones; ``decode`` undoes it. The
    gradient of the compression is infinite at 0 for ``exponent < 1`` and is defined as 0 there.

    The features of a token are channel-major: features ``[0, hop)`` are channel 0 (left) from low
    to high frequency, ``[hop, 2 * hop)`` channel 1 (right). Bin ``k`` is centred on
    ``(k + 1/2) * rate / (2 * hop)`` Hz.

    Attributes:
      hop: samples per block, even.
      exponent: power of the compression, in (0, 1]; 1 leaves the coefficients linear.
      scale: factor of the compressed coefficients, set so that their spread is about 1.
    """

    hop: int = 128
    exponent: float = 0.5
    scale: float = 8.0

    host: ClassVar[bool] = False
    vocabulary: ClassVar[None] = None

    def __post_init__(self):
        if self.hop < 2 or self.hop % 2:
            raise UserError(f"MDCT: hop must be an even number of samples, got {self.hop}")
        if not 0 < self.exponent <= 1:
            raise UserError(f"MDCT: exponent must be in (0, 1], got {self.exponent}")
        if self.scale <= 0:
            raise UserError(f"MDCT: scale must be positive, got {self.scale}")

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The number of blocks of a waveform ``(samples, channels)``, as a latent grid."""
        samples = raw_shape[0]
        blocks, rest = divmod(samples, self.hop)
        if rest or not blocks:
            nearest = " or ".join(str(n * self.hop) for n in (blocks, blocks + 1) if n)
            raise UserError(
                f"sound of {samples} samples: MDCT takes a multiple of hop={self.hop}, "
                f"such as {nearest}"
            )
        return (blocks,)

    def channels(self, raw_shape: tuple[int, ...]) -> int:
        """Features per block of a waveform ``(samples, channels)``."""
        return self.hop * raw_shape[1]

    def encode(self, sound: Float[Array, "B L C"]) -> Float[Array, "B N D"]:
        """Waveforms to compressed coefficients, ``N = L / hop`` and ``D = hop * C``."""
        batch, _, channels = sound.shape
        (blocks,) = self.grid(sound.shape[1:])
        samples = jnp.asarray(sound, jnp.float32).reshape(batch, blocks, self.hop, channels)
        coefficients = self._cosine(self._rotate(samples.swapaxes(2, 3), 1.0))
        size = jnp.abs(coefficients)
        # The inner `where` keeps the power away from 0, whose gradient would be infinite.
        size = jnp.where(size > 0, jnp.where(size > 0, size, 1.0) ** self.exponent, 0.0)
        return (self.scale * jnp.sign(coefficients) * size).reshape(batch, blocks, -1)

    def decode(self, latents: Float[Array, "B N D"]) -> Float[Array, "B L C"]:
        """Compressed coefficients back to waveforms; the exact inverse of :meth:`encode`."""
        batch, blocks, features = latents.shape
        channels, rest = divmod(features, self.hop)
        if rest:
            raise ValueError(f"MDCT: {features} features are not a multiple of hop={self.hop}")
        scaled = jnp.asarray(latents, jnp.float32) / self.scale
        coefficients = jnp.sign(scaled) * jnp.abs(scaled) ** (1 / self.exponent)
        coefficients = coefficients.reshape(batch, blocks, channels, self.hop)
        samples = self._rotate(self._cosine(coefficients), -1.0)
        return samples.swapaxes(2, 3).reshape(batch, blocks * self.hop, channels)

    def _cosine(self, blocks: Float[Array, "B N C hop"]) -> Float[Array, "B N C hop"]:
        """The orthonormal DCT-IV of each block, which is its own inverse."""
        steps = np.arange(self.hop) + 0.5
        matrix = np.sqrt(2 / self.hop) * np.cos(np.pi / self.hop * np.outer(steps, steps))
        # Accelerators multiply float32 in bfloat16 by default, which is audible here.
        return jnp.matmul(blocks, matrix.astype(np.float32), precision=jax.lax.Precision.HIGHEST)

    def _rotate(self, blocks: Float[Array, "B N C hop"], sign: float) -> Float[Array, "B N C hop"]:
        """Rotates mirrored sample pairs across the inner boundaries; ``sign=-1`` rotates back."""
        half = self.hop // 2
        angle = np.pi / 4 * (1 + (np.arange(half) + 0.5) / half)
        near, far = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32) * sign
        before = blocks[:, :-1, :, half:][..., ::-1]
        after = blocks[:, 1:, :, :half]
        new_before = near * before - far * after
        new_after = near * after + far * before
        blocks = blocks.at[:, :-1, :, half:].set(new_before[..., ::-1])
        return blocks.at[:, 1:, :, :half].set(new_after)
