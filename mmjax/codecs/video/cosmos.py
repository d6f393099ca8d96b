"""The continuous video tokenizer of Cosmos (NVIDIA 2025, 2501.03575, section 4)."""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp

from mmjax.codecs.posterior import Deterministic
from mmjax.codecs.pyramid import SelfAttention2D
from mmjax.codecs.video.clips import check_clip, clip_grid
from mmjax.codecs.video.edges import EdgeConv
from mmjax.codecs.video.haar import from_bands, to_bands
from mmjax.errors import UserError
from mmjax.layers.attention import attention
from mmjax.layers.causal_conv import CausalResidual, begins, join, past_of
from mmjax.layers.conv import repeat_pixels
from mmjax.layers.spacetime import average_down, by_frame, depth_to_space, space_to_depth
from mmjax.typing import Array, Float

# Over all positions and channels of each frame.
_norm = functools.partial(
    nn.GroupNorm, num_groups=1, epsilon=1e-6, reduction_axes=(-3, -2, -1), use_fast_variance=False
)
Change = tuple[bool, bool]  # of a level: whether of frames; whether of rows and columns


class AutoencoderKLCosmos(nn.Module):
    """Clips of ``1 + 8k`` frames to ``1 + k`` frames of latents; the first frame stands alone.

    The defaults are the published ones: 105,653,696 parameters, 8x8x8. Latents have no spread. What
    chunks keep grows with the clip, since attention along time sees all earlier frames.

    Attributes:
      channels: channels of the video.
      widths: channels of the encoder's first layer and of each level, highest resolution first.
      decoder_widths: those of the decoder's last level up to its first layer, in this order too.
      blocks: residual blocks per level of the encoder; the decoder has one more.
      latents: channels of the latents.
      time: frames per latent.
      side: rows and columns per latent.
      attention: sides of grids on which the blocks of a level attend, in frames and along time.
      resolution: side of the clips for which ``attention`` says so.
      patch: side of the cells of frames, rows and columns that become channels before all else.
      wavelet: whether these cells go through the Haar transform.
    """

    channels: int = 3
    widths: tuple[int, ...] = (128, 256, 512, 512)
    decoder_widths: tuple[int, ...] = (256, 512, 512, 512)
    blocks: int = 2
    latents: int = 16
    time: int = 8
    side: int = 8
    attention: tuple[int, ...] = (32,)
    resolution: int = 1024
    patch: int = 4
    wavelet: bool = True

    causal_methods = ("encode", "decode")

    def setup(self):
        """The two halves, and what stands between them; UserError where levels are too few."""
        down, up = self.changes
        for name, changes in (("widths", down), ("decoder_widths", up)):
            cell = [self.patch * 2 ** sum(axis) for axis in zip(*changes, strict=True)]
            if cell != [self.time, self.side]:
                raise UserError(
                    f"AutoencoderKLCosmos: the {len(changes)} levels of {name} make cells of "
                    f"{cell[0]} frames and {cell[1]} rows of the patch of {self.patch}, not of "
                    f"{self.time} and {self.side}"
                )
        to_latents, to_pixels = self.attending
        self.cells = Cells(self.patch, self.wavelet)
        self.encoder = Encoder(self.widths, self.blocks, self.latents, down, to_latents)
        self.project = nn.Dense(self.latents)
        self.unproject = nn.Dense(self.latents)
        features = self.channels * self.patch**3
        self.decoder = Decoder(self.decoder_widths[::-1], self.blocks + 1, features, up, to_pixels)
        self.pixels = Pixels(self.patch, self.wavelet)

    @property
    def changes(self) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """What each level of the encoder halves and of the decoder doubles, as they are computed.

        The encoder halves at once, and the decoder doubles frames at the second level. The last
        level changes nothing.
        """
        patch = int(math.log2(self.patch))
        frames, rows = (int(math.log2(size)) - patch for size in (self.time, self.side))
        last = len(self.widths) - 2
        down = [(level < min(frames, last), level < min(rows, last)) for level in range(last + 1)]
        last, up = len(self.decoder_widths) - 2, []
        for level in range(last + 1):
            time = 0 < level < min(frames + 1, last)
            up.append((time, time or frames < rows and level < min(rows, last)))
        return tuple(down), tuple(up)

    @property
    def attending(self) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Whether each level of the encoder and the decoder attends, as they are computed.

        Sides are counted as though each level but the last changed them.
        """
        side, last = self.resolution // self.patch, len(self.decoder_widths) - 2
        down = (side >> level for level in range(len(self.widths) - 1))
        up = (side >> last << level for level in range(last + 1))
        return tuple(n in self.attention for n in down), tuple(n in self.attention for n in up)

    @property
    def strides(self) -> tuple[int, int, int]:
        """Frames, rows and columns per latent."""
        return self.time, self.side, self.side

    def grid(self, raw_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The latent grid of a clip ``(T, H, W, channels)``."""
        return clip_grid(raw_shape, self.strides, "AutoencoderKLCosmos")

    def encode(self, video: Float[Array, "B T H W C"], *, train: bool = False) -> Deterministic:
        """The latents of a clip in [-1, 1], or of a chunk of one; ``train`` changes nothing."""
        check_clip(self, video)
        return Deterministic(self.project(self.encoder(self.cells(video))))

    def decode(self, latents: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """A clip, about in [-1, 1] and not clipped."""
        return self.pixels(self.decoder(self.unproject(latents)))

    def __call__(self, video: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        """The reconstruction of a clip."""
        return self.decode(self.encode(video).mean)


class Half(nn.Module):
    """What an encoder and a decoder have.

    Attributes:
      widths: channels of the first layer and of each level, as they are computed.
      blocks: residual blocks per level.
      features: output channels.
      changes: of resolution, at the end of each level.
      attending: for each level, whether its blocks attend.
    """

    widths: tuple[int, ...]
    blocks: int
    features: int
    changes: tuple[Change, ...]
    attending: tuple[bool, ...]

    def level(self, x: Float[Array, "B T H W C"], level: int) -> Float[Array, "B T H W D"]:
        """The residual blocks of a level."""
        for block in range(self.blocks):
            path = f"level_{level}"
            x = _block(self.widths[level + 1], name=f"{path}_block_{block}")(x)
            if self.attending[level]:
                x = _attend(x, f"{path}_space_{block}", f"{path}_time_{block}")
        return x


class Encoder(Half):
    """Cells of pixels to latents."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w Z"]:
        """Halves frames, and rows and columns, where it is told."""
        x = Factorised(self.widths[0], name="conv_in")(x)
        for level, change in enumerate(self.changes):
            x = self.level(x, level)
            if any(change):
                x = Down(*change, name=f"level_{level}_down")(x)
        x = nn.silu(_norm(name="norm_out")(_middle(x)))
        return Factorised(self.features, name="conv_out")(x)


class Decoder(Half):
    """Latents to cells of pixels."""

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w Z"]) -> Float[Array, "B T H W C"]:
        """The inverse grid of the encoder's."""
        x = _middle(Factorised(self.widths[0], name="conv_in")(x))
        for level, change in enumerate(self.changes):
            x = self.level(x, level)
            if any(change):
                x = Up(*change, name=f"level_{level}_up")(x)
        x = nn.silu(_norm(name="norm_out")(x))
        return Factorised(self.features, name="conv_out")(x)


class Cells(nn.Module):
    """Pixels to cells of them as channels.

    Attributes:
      side: of a cell, in frames, rows and columns.
      wavelet: whether cells go through the Haar transform.
    """

    side: int
    wavelet: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w D"]:
        """The first frame fills a cell of its own."""
        if begins(self):
            x = jnp.concatenate([jnp.repeat(x[:, :1], self.side - 1, axis=1), x], axis=1)
        return to_bands(x, self.side) if self.wavelet else space_to_depth(x, (self.side,) * 3)


class Pixels(Cells):
    """The inverse of :class:`Cells`."""

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w D"]) -> Float[Array, "B T H W C"]:
        """Of the first cell the last frame is left."""
        x = from_bands(x, self.side) if self.wavelet else depth_to_space(x, (self.side,) * 3)
        return x[:, self.side - 1 :] if begins(self) else x


class Factorised(nn.Module):
    """A convolution in each frame, then one along time."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W D"]:
        """Keeps the grid."""
        x = EdgeConv(self.features, (1, 3, 3), name="space")(x)
        return EdgeConv(self.features, (3, 1, 1), name="time")(x)


_block = functools.partial(CausalResidual, norm=_norm, conv=Factorised)


class Change3D(nn.Module):
    """What a change of resolution changes.

    Attributes:
      time: frames.
      space: rows and columns.
    """

    time: bool
    space: bool


class Down(Change3D):
    """Halves by convolutions, each beside the average of what it halves."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B t h w C"]:
        """Frames: ``1 + 2k`` to ``1 + k``; later chunks ``2k`` to ``k``."""
        channels = x.shape[-1]
        if self.space:
            padding = ((0, 0), (0, 1), (0, 1))
            conv = nn.Conv(channels, (1, 3, 3), (1, 2, 2), padding, name="space")
            x = conv(x) + average_down(x, (1, 2, 2), channels)
        if self.time:
            frames = join(self, x, jnp.repeat(x[:, :1], 2, axis=1), 1)
            conv = nn.Conv(channels, (3, 1, 1), (2, 1, 1), padding="VALID", name="time")
            x = conv(frames) + average_down(frames[:, 1:], (2, 1, 1), channels)
        return nn.Dense(channels, name="mix")(x)


class Up(Change3D):
    """Doubles by repetition, with a convolution of each beside it."""

    @nn.compact
    def __call__(self, x: Float[Array, "B t h w C"]) -> Float[Array, "B T H W C"]:
        """Frames: ``1 + k`` to ``1 + 2k``; later chunks ``k`` to ``2k``."""
        channels = x.shape[-1]
        if self.time:
            x = jnp.repeat(x, 2, axis=1)[:, int(begins(self)) :]
            x = x + EdgeConv(channels, (3, 1, 1), name="time")(x)
        if self.space:
            x = by_frame(repeat_pixels, x)
            x = x + EdgeConv(channels, (1, 3, 3), name="space")(x)
        return nn.Dense(channels, name="mix")(x)


class TimeAttention(nn.Module):
    """One head of attention of each place to itself in the frames so far, beside a shortcut."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T H W C"]) -> Float[Array, "B T H W C"]:
        """Chunks leave their keys and values to the next."""
        normed, channels, past = _norm(name="norm")(x), x.shape[-1], past_of(self)
        query, key, value = (nn.Dense(channels, name=n)(normed) for n in ("query", "key", "value"))
        pairs, frames = jnp.concatenate([key, value], axis=-1), x.shape[1]
        seen = frames if past is None else frames + past.shape[1]
        pairs = join(self, pairs, pairs[:, :0], seen)
        key, value = jnp.split(pairs, 2, axis=-1)
        mask = jnp.tri(frames, seen, seen - frames, dtype=bool)[None, None]
        mixed = attention(*(_by_place(part) for part in (query, key, value)), mask)
        mixed = mixed.reshape(x.shape[0], *x.shape[2:4], frames, channels)
        return x + nn.Dense(channels, name="out")(mixed.transpose(0, 3, 1, 2, 4))


def _by_place(x: Float[Array, "B T H W C"]) -> Float[Array, "P T 1 C"]:
    """A row for each place, of its frames as tokens with one head."""
    return x.transpose(0, 2, 3, 1, 4).reshape(-1, x.shape[1], 1, x.shape[-1])


def _attend(x: Float[Array, "B T H W C"], space: str, time: str) -> Float[Array, "B T H W C"]:
    """Attention in each frame and along time, by their names."""
    return TimeAttention(name=time)(by_frame(SelfAttention2D(_norm, name=space), x))


def _middle(x: Float[Array, "B t h w C"]) -> Float[Array, "B t h w C"]:
    """The lowest resolution: attention between two residual blocks."""
    x = _block(x.shape[-1], name="middle_block_0")(x)
    x = _attend(x, "middle_space", "middle_time")
    return _block(x.shape[-1], name="middle_block_1")(x)
