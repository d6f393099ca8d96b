"""The video autoencoder of LTX-2 (HaCohen et al. 2026, 2601.03233)."""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.posterior import DiagonalNormal
from mmjax.codecs.video.clips import check_clip, clip_grid
from mmjax.codecs.video.edges import EdgeConv
from mmjax.errors import UserError
from mmjax.layers.causal_conv import CausalResidual, begins
from mmjax.layers.norm import Norm
from mmjax.layers.spacetime import Factors, average_down, depth_to_space, space_to_depth
from mmjax.typing import Array, Float

FACTORS = {"spatial": (1, 2, 2), "temporal": (2, 1, 1), "spatiotemporal": (2, 2, 2)}

_norm = functools.partial(Norm, kind="rms", affine=False, eps=1e-8)


class AutoencoderKLLTX2Video(nn.Module):
    """Clips of ``1 + 8k`` frames to ``1 + k`` frames of latents; the first frame stands alone.

    The defaults are the published ones: 1,222,479,601 parameters, 8x32x32. The encoder is causal
    and takes chunks. The decoder is not, unless ``causal_decoder``: it takes whole clips, or
    windows of them, see :func:`mmjax.codecs.video.windows.decode_windows`. These lose
    nothing if they overlap by ``reach``, which is 22; with random weights the root mean square
    error is 0.04 of the output's deviation at an overlap of 4, 1e-3 at 8 and 7e-6 at 12.

    Attributes:
      channels: channels of the video.
      latents: channels of the latents, and of the encoder's first layer.
      widths: channels after each change of the encoder's resolution.
      blocks: residual blocks before each of these changes, and after the last.
      down: what each of them halves: ``"spatial"``, ``"temporal"`` or ``"spatiotemporal"``.
      decoder_width: channels of the decoder's lowest resolution.
      narrowing: what channels are divided by at each change of the decoder's resolution.
      decoder_blocks: residual blocks before each of these changes, and after the last.
      up: what each of them doubles.
      patch: side of the squares of pixels that become channels before all else.
      shortcut: whether a change of the decoder's resolution has channels moved into pixels beside.
      causal_decoder: whether frames are decoded without a look at later ones.
      reflect: whether the decoder mirrors rows and columns at the border.
    """

    channels: int = 3
    latents: int = 128
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    blocks: tuple[int, ...] = (4, 6, 6, 2, 2)
    down: tuple[str, ...] = ("spatial", "temporal", "spatiotemporal", "spatiotemporal")
    decoder_width: int = 1024
    narrowing: tuple[int, ...] = (2, 2, 2)
    decoder_blocks: tuple[int, ...] = (5, 5, 5, 5)
    up: tuple[str, ...] = ("spatiotemporal", "spatiotemporal", "spatiotemporal")
    patch: int = 4
    shortcut: bool = True
    causal_decoder: bool = False
    reflect: bool = True

    def setup(self):
        """The two halves; UserError where the decoder does not undo what the encoder does."""
        if _product(self.down) != _product(self.up):
            raise UserError(
                f"AutoencoderKLLTX2Video: down={self.down} makes cells of {_product(self.down)} "
                f"frames, rows and columns, up={self.up} of {_product(self.up)}"
            )
        self.encoder = Encoder(self.latents, self.widths, self.blocks, self.down)
        self.decoder = Decoder(
            self.decoder_width, self.narrowing, self.decoder_blocks, self.up,
            self.channels * self.patch**2, self.shortcut, self.causal_decoder, self.reflect,
        )  # fmt: skip

    @property
    def causal_methods(self) -> tuple[str, ...]:
        """The methods that take chunks, see :mod:`mmjax.codecs.chunks`."""
        return ("encode", "decode") if self.causal_decoder else ("encode",)

    @property
    def strides(self) -> Factors:
        """Frames, rows and columns per latent."""
        time, rows, columns = _product(self.down)
        return time, self.patch * rows, self.patch * columns

    @property
    def reach(self) -> int:
        """Latent frames on either side that a frame of a decoder that is not causal depends on."""
        total, rate = 1.0, 1  # the first convolution
        for blocks, kind in zip(self.decoder_blocks, (*self.up, "spatial"), strict=True):
            total += (2 * blocks + 1) / rate  # those of the blocks, and of the change after them
            rate *= FACTORS[kind][0]
        return math.ceil(total)

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The latent grid of a clip ``(T, H, W, channels)``."""
        return clip_grid(raw_shape, self.strides, "AutoencoderKLLTX2Video")

    def encode(self, video: Float[Array, "B T H W C"], *, train: bool = False) -> DiagonalNormal:
        """The posterior over the latents of a clip in [-1, 1], or of a chunk of one.

        Its variance is one for all channels of a latent; ``train`` changes nothing.
        """
        check_clip(self, video)
        moments = self.encoder(space_to_depth(video, self._cell, columns_first=True))
        mean, logvar = jnp.split(moments, (self.latents,), axis=-1)
        logvar = jnp.broadcast_to(jnp.clip(logvar, -30.0, 20.0), mean.shape)
        return DiagonalNormal(mean, logvar)

    def decode(self, latents: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """A clip, about in [-1, 1] and not clipped.

        Raises:
          UserError: the latents have a side of one, which has no mirror image.
        """
        height, width = latents.shape[2:4]
        if self.reflect and min(height, width) < 2:
            raise UserError(
                f"latents of {height}x{width}: AutoencoderKLLTX2Video mirrors them at the border, "
                "which takes sides of 2 and more"
            )
        return depth_to_space(self.decoder(latents), self._cell, columns_first=True)

    def __call__(self, video: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        """The reconstruction from the posterior's mean."""
        return self.decode(self.encode(video).mean)

    @property
    def _cell(self) -> Factors:
        return 1, self.patch, self.patch


class Encoder(nn.Module):
    """Clips to features on the latent grid; attributes as in :class:`AutoencoderKLLTX2Video`."""

    latents: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    down: tuple[str, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w M"]:
        """Means, and one log variance for all of them."""
        x = EdgeConv(self.latents, name="conv_in")(x)
        for level, blocks in enumerate(self.blocks):
            x = _level(x, level, blocks, EdgeConv)
            if level < len(self.down):
                factors = FACTORS[self.down[level]]
                x = Down(self.widths[level], factors, name=f"level_{level}_down")(x)
        return EdgeConv(self.latents + 1, name="conv_out")(nn.silu(_norm(name="norm_out")(x)))


class Decoder(nn.Module):
    """Latents to clips, lowest resolution first; attributes as in the autoencoder."""

    width: int
    narrowing: tuple[int, ...]
    blocks: tuple[int, ...]
    up: tuple[str, ...]
    features: int
    shortcut: bool
    causal: bool
    reflect: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """The inverse grid of the encoder's."""
        conv = functools.partial(EdgeConv, causal=self.causal, reflect=self.reflect)
        x = conv(self.width, name="conv_in")(x)
        for level, blocks in enumerate(self.blocks):
            x = _level(x, level, blocks, conv)
            if level < len(self.up):
                factors, features = FACTORS[self.up[level]], x.shape[-1] // self.narrowing[level]
                name = f"level_{level}_up"
                x = Up(features, factors, self.shortcut, self.causal, self.reflect, name=name)(x)
        return conv(self.features, name="conv_out")(nn.silu(_norm(name="norm_out")(x)))


class Down(nn.Module):
    """Cells of frames, rows and columns become channels, beside the average of such channels."""

    features: int
    factors: Factors

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w D"]:
        """Halving frames: ``1 + 2k`` to ``1 + k``; later chunks ``2k`` to ``k``."""
        if begins(self):  # the first frame fills its cell
            x = jnp.concatenate([x[:, : self.factors[0] - 1], x], axis=1)
        hidden = EdgeConv(self.features // math.prod(self.factors), name="conv")(x)
        return space_to_depth(hidden, self.factors) + average_down(x, self.factors, self.features)


class Up(nn.Module):
    """Channels become cells of frames, rows and columns, with ``shortcut`` the input's as well."""

    features: int
    factors: Factors
    shortcut: bool
    causal: bool
    reflect: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w C"]) -> Float[Array, "B T H W D"]:
        """Doubling frames: ``1 + k`` to ``1 + 2k``; later chunks ``k`` to ``2k``."""
        cells = self.features * math.prod(self.factors)
        conv = EdgeConv(cells, causal=self.causal, reflect=self.reflect, name="conv")
        hidden = depth_to_space(conv(x), self.factors)
        if self.shortcut:
            moved = depth_to_space(x, self.factors)
            hidden += jnp.tile(moved, (1, 1, 1, 1, self.features // moved.shape[-1]))
        return hidden[:, self.factors[0] - 1 :] if begins(self) else hidden


def _level(
    x: Float[Array, "B T H W C"], level: int, blocks: int, conv
) -> Float[Array, "B T H W C"]:
    """The residual blocks of one resolution."""
    for block in range(blocks):
        name = f"level_{level}_block_{block}"
        x = CausalResidual(x.shape[-1], norm=_norm, conv=conv, name=name)(x)
    return x


def _product(kinds: tuple[str, ...]) -> Factors:
    """Frames, rows and columns in a cell of all changes of resolution."""
    return tuple(math.prod(FACTORS[kind][axis] for kind in kinds) for axis in range(3))
