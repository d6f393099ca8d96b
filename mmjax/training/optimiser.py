"""Optimisers and schedules as config values; each builds an optax transformation."""

import dataclasses
from typing import Protocol, runtime_checkable

import optax

from mmjax.processes.base import check_choice


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up to ``peak``, then constant, cosine, linear or rsqrt decay.

    Attributes:
      peak: the highest rate.
      warmup: steps from 0 to the peak.
      decay: ``constant``, ``cosine``, ``linear`` (both to ``final`` times the peak after ``steps``)
        or ``rsqrt`` (peak sqrt(warmup / step)).
      steps: end of the decay, counted from step 0.
      final: fraction of the peak that remains.
    """

    peak: float
    warmup: int = 0
    decay: str = "constant"
    steps: int = 0
    final: float = 0.0

    def __post_init__(self):
        check_choice("Schedule", "decay", self.decay, ("constant", "cosine", "linear", "rsqrt"))
        if self.decay in ("cosine", "linear") and self.steps <= self.warmup:
            raise ValueError(
                f"Schedule.steps must exceed warmup={self.warmup} for a {self.decay} decay"
            )

    def build(self) -> optax.Schedule:
        """Step -> rate."""
        span = self.steps - self.warmup
        if self.decay == "cosine":
            after = optax.cosine_decay_schedule(self.peak, span, self.final)
        elif self.decay == "linear":
            after = optax.linear_schedule(self.peak, self.peak * self.final, span)
        elif self.decay == "rsqrt":
            start = max(self.warmup, 1)
            after = lambda step: self.peak * (start / (step + start)) ** 0.5  # noqa: E731
        else:
            after = optax.constant_schedule(self.peak)
        if not self.warmup:
            return after
        return optax.join_schedules(
            [optax.linear_schedule(0.0, self.peak, self.warmup), after], [self.warmup]
        )


@runtime_checkable
class Optimiser(Protocol):
    """Values from which a gradient transformation over ``{path: leaf}`` is built."""

    schedule: Schedule

    def build(self) -> optax.GradientTransformation:
        """The transformation."""


def _clipped(clip: float, *rest: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(*([optax.clip_by_global_norm(clip)] if clip else []), *rest)


@dataclasses.dataclass(frozen=True)
class Sgd:
    """Gradient descent with optional momentum."""

    schedule: Schedule
    momentum: float = 0.0
    clip: float = 0.0

    def build(self) -> optax.GradientTransformation:
        """The transformation; ``clip`` is the global norm, 0 for none."""
        momentum = self.momentum or None
        return _clipped(self.clip, optax.sgd(self.schedule.build(), momentum))


@dataclasses.dataclass(frozen=True)
class AdamW:
    """Adam with decoupled decay of matrices (Loshchilov & Hutter 1711.05101); no decay of vectors.

    Attributes:
      schedule: learning rate.
      b1, b2, eps: Adam's.
      weight_decay: times the learning rate.
      clip: global gradient norm, 0 for none.
    """

    schedule: Schedule
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0

    def build(self) -> optax.GradientTransformation:
        """The transformation."""
        adam = optax.adamw(
            self.schedule.build(), self.b1, self.b2, self.eps,
            weight_decay=self.weight_decay, mask=_is_kernel,
        )  # fmt: skip
        return _clipped(self.clip, adam)


@dataclasses.dataclass(frozen=True)
class Muon:
    """Orthogonalised momentum for matrices, Adam for the rest (Jordan et al. 2024; 2502.16982).

    Parameters of two axes whose path holds none of ``adam`` are stepped by Muon; a stacked one,
    ``[layers, in, out]``, is orthogonalised layer by layer. Adam here looks ahead (Dozat 2016).

    Attributes:
      schedule: learning rate of the matrices, scaled by max(1, out/in)^0.5.
      adam_ratio: the other parameters' rate as a multiple of it.
      adam: substrings of paths that AdamW takes though they are matrices (embeddings, heads).
      stacked: substrings of paths of stacks, whose first axis is the layer.
    """

    schedule: Schedule
    adam_ratio: float = 0.1
    momentum: float = 0.95
    weight_decay: float = 0.0
    clip: float = 0.0
    adam: tuple[str, ...] = ("embed", "head")
    stacked: tuple[str, ...] = ("blocks",)

    def build(self) -> optax.GradientTransformation:
        """The transformation."""
        rate = self.schedule.build()
        muon = optax.contrib.muon(
            rate,
            beta=self.momentum,
            weight_decay=self.weight_decay,
            adam_learning_rate=lambda step: self.adam_ratio * rate(step),
            adam_weight_decay=0.0,
            muon_weight_dimension_numbers=self._dimensions,
        )
        return _clipped(self.clip, muon)

    def _dimensions(self, params: dict) -> dict:
        return {path: self._dimension(path, leaf) for path, leaf in params.items()}

    def _dimension(self, path: str, leaf):
        if isinstance(leaf, optax.MaskedNode):  # AdamW's share, as optax shows it to Muon's
            return leaf
        lead = 1 if any(name in path for name in self.stacked) else 0
        if leaf.ndim - lead != 2 or any(name in path for name in self.adam):
            return None
        return optax.contrib.MuonDimensionNumbers(reduction_axis=lead, output_axis=lead + 1)


def _is_kernel(params: dict) -> dict:
    return {path: path.endswith("kernel") for path in params}
