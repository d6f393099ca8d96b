"""Codecs of motion: convolutions over frames around a quantiser."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.quantisers.base import Quantised, vectors
from mmjax.errors import UserError
from mmjax.layers.conv1d import Conv1d, same
from mmjax.typing import Array, Float, Int


class Dilated(nn.Module):
    """Residual blocks whose dilation falls to 1 from a power of ``growth``.

    Attributes:
      depth: number of blocks.
      growth: the ratio of their dilations.
    """

    depth: int
    growth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B N C"]) -> Float[Array, "B N C"]:
        """The same number of frames and channels."""
        for index in range(self.depth):
            dilation = self.growth ** (self.depth - 1 - index)
            wide = Conv1d(
                x.shape[-1], 3, dilation=dilation, padding=same(3, dilation), name=f"wide_{index}"
            )
            x = x + Conv1d(x.shape[-1], 1, name=f"mix_{index}")(nn.relu(wide(nn.relu(x))))
        return x


class MotionEncoder(nn.Module):
    """Frames to vectors, ``2 ** halvings`` times fewer.

    Attributes:
      size: numbers of a vector.
      width: channels within.
      halvings: how often the frames are halved.
      depth, growth: see :class:`Dilated`.
    """

    size: int
    width: int
    halvings: int
    depth: int
    growth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B N Z"]:
        """One vector per ``2 ** halvings`` frames."""
        x = nn.relu(Conv1d(self.width, 3, padding=(1, 1), name="first")(x))
        for level in range(self.halvings):
            x = Conv1d(self.width, 4, stride=2, padding=(1, 1), name=f"down_{level}")(x)
            x = Dilated(self.depth, self.growth, name=f"blocks_{level}")(x)
        return Conv1d(self.size, 3, padding=(1, 1), name="last")(x)


class MotionDecoder(nn.Module):
    """Vectors to frames, ``2 ** halvings`` times more.

    Attributes:
      features: numbers of a frame.
      width, halvings, depth, growth: see :class:`MotionEncoder`.
    """

    features: int
    width: int
    halvings: int
    depth: int
    growth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B N Z"]) -> Float[Array, "B T D"]:
        """``2 ** halvings`` frames per vector."""
        x = nn.relu(Conv1d(self.width, 3, padding=(1, 1), name="first")(x))
        for level in range(self.halvings):
            x = Dilated(self.depth, self.growth, name=f"blocks_{level}")(x)
            x = Conv1d(self.width, 3, padding=(1, 1), name=f"up_{level}")(jnp.repeat(x, 2, axis=1))
        x = nn.relu(Conv1d(self.width, 3, padding=(1, 1), name="hidden")(x))
        return Conv1d(self.features, 3, padding=(1, 1), name="last")(x)


class MotionVQ(nn.Module):
    """Motion to codes and back (T2M-GPT, Zhang et al. 2023, 2301.06052, section 3.1).

    With a residual quantiser this is MoMask's (Guo et al. 2023, 2312.00063, section 3.1).

    Attributes:
      quantiser: of vectors with ``size`` numbers, see :mod:`mmjax.codecs.quantisers.base`.
      size: numbers that are quantised at a time.
      features: numbers of a frame.
      width: channels within.
      halvings: how often the frames are halved.
      depth: residual blocks at each rate.
      growth: the ratio of their dilations.
    """

    quantiser: Any
    size: int = 512
    features: int = 263
    width: int = 512
    halvings: int = 2
    depth: int = 3
    growth: int = 3

    def setup(self):
        """The two halves."""
        shape = {"width": self.width, "halvings": self.halvings}
        shape |= {"depth": self.depth, "growth": self.growth}
        self.encoder = MotionEncoder(size=self.size, **shape)
        self.decoder = MotionDecoder(features=self.features, **shape)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int]:
        """The codes of a clip ``(frames, features)``; UserError where they are not whole."""
        multiple = 2**self.halvings
        if raw_shape[0] % multiple or not raw_shape[0]:
            raise UserError(
                f"MotionVQ: {raw_shape[0]} frames; this codec takes multiples of {multiple}"
            )
        return (raw_shape[0] // multiple,)

    def encode(self, motion: Float[Array, "B T D"], *, train: bool = False) -> Quantised:
        """Codes ``[B, N]`` or ``[B, N, Q]``; ``train`` lets the quantiser learn."""
        self.grid(motion.shape[1:])
        return self.quantiser(self.encoder(motion), train=train)

    def decode(self, codes: Int[Array, "B N *Q"] | Float[Array, "B N Z"]) -> Float[Array, "B T D"]:
        """Motion from codes or from the quantiser's vectors."""
        return self.decoder(vectors(self.quantiser, codes))

    def __call__(
        self, motion: Float[Array, "B T D"], *, train: bool = False
    ) -> Float[Array, "B T D"]:
        """The reconstruction."""
        return self.decode(self.encode(motion, train=train).values)
