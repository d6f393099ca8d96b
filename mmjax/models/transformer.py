"""The transformer trunk over streams: joint, dual-stream or encoder-decoder.

One class stands for DiT, MMDiT, decoder-only language models, encoder-decoders and joint
sound-and-picture flows; which it is follows from its streams and a few values.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from mmjax.layers import sequence
from mmjax.layers.block import Block, BlockSpec, Shared
from mmjax.layers.embedding import Clock, Condition, StreamInput, StreamOutput
from mmjax.layers.modulation import Spread
from mmjax.layers.norm import Norm
from mmjax.layers.patch import patch_stream, unpatchify
from mmjax.layers.positions import Rotary, SinCos
from mmjax.layers.sequence import Part
from mmjax.layers.stack import Stack
from mmjax.sharding.constrain import constrain, context_size
from mmjax.streams import Stream, StreamSpec
from mmjax.typing import Array, Bool, Float, Int

TOPOLOGIES = ("joint", "dual", "encoder_decoder")
MODULATIONS = ("adaln_zero", "none")

Lanes = Mapping[str, Sequence[str]]  # lane name -> the streams in it, in token order


class Transformer(nn.Module):
    """Reads streams as tokens, runs blocks over them, predicts the generative streams.

    Attributes:
      streams: the specs, in token order. Injected by the builder.
      width, depth, heads: of the trunk; the head size is ``width / heads``.
      topology: ``"joint"``: one sequence, weights shared by all streams. ``"dual"``: weights of its
        own for each stream, joint attention. ``"encoder_decoder"``: streams that are only read are
        encoded bidirectionally; the others attend to themselves and to the encoded ones.
      kv_heads: key and value heads shared by groups of queries; 0 means as many as ``heads``.
      widths: ``dual`` only: the streams whose width differs from ``width``.
      outputs: streams whose predictions have another number of channels than their values, such as
        a mean and a variance.
      mlp_ratio, activation, norm, qk_norm: see :class:`mmjax.layers.block.BlockSpec`.
      patch: cells of a patch along each grid axis, for the streams that have patches.
      modulation: ``"adaln_zero"``: times and pooled streams set shifts, scales and gates;
        ``"none"``: times are ignored.
      clock: what the network knows of a time.
      pooled: streams that are no tokens: their one vector is added to the time's.
      rope, absolute: rotary and additive positions, either or both.
      attention: see :class:`mmjax.layers.sequence.Part`, for streams that are not ``"full"``.
      scan_unroll, remat: see :class:`mmjax.layers.stack.Stack`.
      higher_order: see :func:`mmjax.layers.attention.attention`.
      dtype: type of the computation; parameters and predictions stay float32.
    """

    streams: Mapping[str, StreamSpec]
    width: int
    depth: int
    heads: int
    topology: str = "joint"
    kv_heads: int = 0
    widths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, int] = dataclasses.field(default_factory=dict)
    mlp_ratio: float = 4.0
    activation: str = "gelu_tanh"
    norm: str = "layer"
    qk_norm: bool = False
    patch: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    modulation: str = "adaln_zero"
    clock: Clock = Clock()
    pooled: tuple[str, ...] = ()
    rope: Rotary | None = None
    absolute: SinCos | None = None
    attention: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scan_unroll: int = 0
    remat: str = "none"
    higher_order: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        super().__post_init__()
        for field, options in (("topology", TOPOLOGIES), ("modulation", MODULATIONS)):
            if getattr(self, field) not in options:
                raise ValueError(f"{field} {getattr(self, field)!r} is none of {options}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")
        if self.pooled and self.modulation == "none":
            raise ValueError("pooled streams reach the tokens by modulation only, which is 'none'")
        if self.widths and self.topology != "dual":
            raise ValueError(f"widths are for the dual topology, not {self.topology!r}")
        named = {*self.widths, *self.outputs, *self.patch, *self.pooled, *self.attention}
        if unknown := named - set(self.streams):
            raise ValueError(f"no stream {sorted(unknown)}; there are {', '.join(self.streams)}")

    @nn.compact
    def __call__(
        self,
        streams: Mapping[str, Stream],
        *,
        train: bool = False,
        decode: bool = False,
        block_inputs: Mapping[str, jax.Array] | None = None,
    ) -> dict[str, Stream]:
        """Predictions for the generative streams among those given, in place of their values.

        Args:
          streams: values of any grid that the patches divide.
          train: accepted for the network contract; nothing here differs in training.
          decode: append the given tokens to the collection ``cache``, made by ``init`` with streams
            of full length, and let them see what it holds. Streams may then be missing: those of
            earlier calls are in the cache. Writing past its length is not noticed.
          block_inputs: for each lane (``"joint"``, ``"decoder"``, or each stream of ``dual``)
            ``[depth, B, N, D]`` added to the outputs of the blocks.

        Raises ValueError for unknown or missing streams, and for packed streams when decoding.
        """
        del train
        parts = {name: self._part(name, streams[name]) for name in self._given(streams, decode)}
        lanes, sources = self._lanes(list(parts))
        pads = {lane: 0 if decode else _short(names, parts) for lane, names in lanes.items()}
        targets = []
        for lane, names in lanes.items():
            targets += sequence.padded([parts[name] for name in names], pads[lane])
        context = context_mask = None
        if self.topology == "encoder_decoder":
            context, context_mask = self._encode(sources, targets, parts, decode)
        mask, start = self._visible(targets, decode)
        conditions = self._conditions(lanes, parts)
        shared = Shared(
            conditions={
                lane: jnp.concatenate([conditions[name] for name in names], axis=1)
                for lane, names in lanes.items()
                if conditions
            },
            angles=sequence.angles(targets, self.rope),
            mask=mask,
            start=start,
            context=context,
            context_mask=context_mask,
            causal=not decode and sequence.all_causal(targets),
        )
        tokens = {lane: self._tokens(names, parts, pads[lane]) for lane, names in lanes.items()}
        shapes = self._lane_shapes(lanes, parts, pads)
        stack = self._stack("blocks", shapes, context_mask is not None)
        tokens = stack(tokens, shared, block_inputs=_lengthened(block_inputs, pads))
        predictions = {}
        for lane, names in lanes.items():
            counts = [parts[name].mask.shape[1] for name in names]
            pieces = _split(tokens[lane][:, : sum(counts)], counts)
            for name, piece in zip(names, pieces, strict=True):
                if self.streams[name].process.generative:
                    values = self._predict(name, piece, conditions.get(name), parts[name])
                    predictions[name] = streams[name].replace(values=values)
        return predictions

    def _given(self, streams: Mapping[str, Stream], decode: bool) -> list[str]:
        """The names of the given streams in token order."""
        if unknown := set(streams) - set(self.streams):
            raise ValueError(f"no stream {sorted(unknown)}; there are {', '.join(self.streams)}")
        needed = self.pooled if decode and not self.is_initializing() else self.streams
        if missing := set(needed) - set(streams):
            raise ValueError(f"streams {sorted(missing)} are missing")
        return [name for name in self.streams if name in streams]

    def _part(self, name: str, stream: Stream) -> Part:
        spec = self.streams[name]
        patched = patch_stream(stream, self._patch(name), discrete=spec.discrete)
        return Part(patched, spec.axes, self.attention.get(name, "full"))

    def _patch(self, name: str) -> tuple[int, ...]:
        return tuple(self.patch.get(name, (1,) * len(self.streams[name].grid)))

    def _lanes(self, names: Sequence[str]) -> tuple[Lanes, list[str]]:
        """The streams of each lane, and those that are only encoded."""
        names = [name for name in names if name not in self.pooled]
        if self.topology == "dual":
            return {name: [name] for name in names}, []
        if self.topology == "joint":
            return {"joint": names}, []
        sources = [name for name in names if not self.streams[name].process.generative]
        return {"decoder": [name for name in names if name not in sources]}, sources

    def _lane_shapes(self, lanes: Lanes, parts: Mapping[str, Part], pads: Mapping[str, int]):
        """Name, width and spread of times of each lane."""
        shapes = []
        for lane, names in lanes.items():
            modulated = self.modulation != "none"
            own = [parts[name] for name in names]
            spread = sequence.spread(own, pads[lane]) if modulated else None
            shapes.append((lane, self.widths.get(lane, self.width), spread))
        return tuple(shapes)

    def _stack(self, name: str, lanes: tuple[tuple[str, int, Spread | None], ...], cross: bool):
        spec = BlockSpec(
            heads=self.heads,
            kv_heads=self.kv_heads or self.heads,
            head_size=self.width // self.heads,
            mlp_ratio=self.mlp_ratio,
            norm=self.norm,
            activation=self.activation,
            qk_norm=self.qk_norm,
            rope=self.rope,
            higher_order=self.higher_order,
            dtype=self.dtype,
        )
        block: Callable[..., Block] = functools.partial(Block, spec, lanes, cross)
        return Stack(block, self.depth, self.scan_unroll, self.remat, name=name)

    def _tokens(
        self, names: Sequence[str], parts: Mapping[str, Part], pad: int
    ) -> Float[Array, "B N D"]:
        """The embedded tokens of a lane's streams, one after the other, and ``pad`` zeros."""
        tokens = []
        for name in names:
            part, width = parts[name], self.widths.get(name, self.width)
            vocabulary = self.streams[name].vocabulary
            embed = StreamInput(width, vocabulary, self.dtype, name=f"input_{name}")
            x = embed(part.stream.values).reshape(*part.mask.shape, width)
            if self.absolute is not None:
                x = x + self.absolute.embed(part.positions, part.axes, width).astype(x.dtype)
            tokens.append(x)
        x = jnp.pad(jnp.concatenate(tokens, axis=1), ((0, 0), (0, pad), (0, 0)))
        return constrain(x, "batch", "tokens", None)

    def _conditions(self, lanes: Lanes, parts: Mapping[str, Part]) -> dict[str, jax.Array]:
        """For each stream ``[B, F, D]``, a vector for each of its distinct times."""
        if self.modulation == "none":
            return {}
        pooled = tuple((name, self.streams[name].vocabulary) for name in self.pooled)
        given = {name: parts[name].stream for name in self.pooled}
        conditions = {}
        for lane, names in lanes.items():
            width = self.widths.get(lane, self.width)
            embed = Condition(width, self.clock, pooled, self.dtype, name=f"condition_{lane}")
            conditions |= {name: embed(parts[name].times, given) for name in names}
        return conditions

    def _encode(
        self,
        sources: Sequence[str],
        targets: Sequence[Part],
        parts: Mapping[str, Part],
        decode: bool,
    ) -> tuple[Float[Array, "B M D"] | None, Bool[Array, "..."]]:
        """The encoded sources (None once they are cached) and what the targets see of them."""
        context = seen = None
        if sources:
            pad = 0 if decode else _short(sources, parts)
            given = sequence.padded([parts[name] for name in sources], pad)
            stack = self._stack("encoder", (("encoder", self.width, None),), cross=False)
            shared = Shared(
                angles=sequence.angles(given, self.rope),
                mask=sequence.self_visible(given),
                causal=sequence.all_causal(given),
            )
            encoded = stack({"encoder": self._tokens(sources, parts, pad)}, shared)["encoder"]
            context = Norm(self.norm, name="encoder_norm")(encoded)
            seen = sequence.visible(targets, given)
        if decode:
            cached = self.variable("cache", "context_mask", lambda: seen)
            if sources:
                cached.value = seen
            seen = cached.value
        return context, seen

    def _visible(
        self, parts: Sequence[Part], decode: bool
    ) -> tuple[Bool[Array, "..."], Int[Array, ""] | None]:
        """What the tokens see of each other or of the cache, and the cache's first free slot."""
        if not decode:
            return sequence.self_visible(parts), None
        if sequence.segments(parts) is not None:
            raise ValueError("packed streams cannot be decoded with a cache")
        new = sequence.content(parts)
        length = self.variable("cache", "length", jnp.zeros, (), jnp.int32)
        filled = self.variable("cache", "mask", jnp.zeros_like, new)
        start = length.value
        if self.is_initializing():
            return sequence.self_visible(parts), start
        filled.value = jax.lax.dynamic_update_slice(filled.value, new, (0, start))
        length.value = start + new.shape[1]
        return sequence.cache_visible(parts, filled.value, start), start

    def _predict(
        self, name: str, tokens: Float[Array, "B N D"], condition: jax.Array | None, part: Part
    ) -> Float[Array, "..."]:
        """The prediction ``[B, *grid, C or V]`` of a stream from its tokens."""
        spec, patch = self.streams[name], self._patch(name)
        channels = self.outputs.get(name, spec.vocabulary if spec.discrete else spec.channels)
        spread = None if condition is None else sequence.spread([part])
        features = channels * math.prod(patch)
        head = StreamOutput(features, self.norm, spread, self.dtype, name=f"output_{name}")
        values = head(tokens, condition).reshape(tokens.shape[0], *part.grid, features)
        return unpatchify(values, patch)


def _short(names: Sequence[str], parts: Mapping[str, Part]) -> int:
    """How many tokens a lane of these streams lacks to be cut by the mesh into equal parts."""
    return -sum(parts[name].mask.shape[1] for name in names) % context_size()


def _lengthened(
    block_inputs: Mapping[str, jax.Array] | None, pads: Mapping[str, int]
) -> dict[str, jax.Array] | None:
    """``[depth, B, N, D]`` of each lane with zeros for the tokens that pad it."""
    if block_inputs is None:
        return None
    return {k: jnp.pad(x, ((0, 0), (0, 0), (0, pads[k]), (0, 0))) for k, x in block_inputs.items()}


def _split(x: Float[Array, "B N D"], counts: Sequence[int]) -> list[jax.Array]:
    return jnp.split(x, [sum(counts[: i + 1]) for i in range(len(counts) - 1)], axis=1)
