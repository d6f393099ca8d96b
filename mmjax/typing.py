"""Array aliases and the glossary of axis names used in annotations.

B batch, T frames, H height, W width, C channels, L samples of a waveform, N tokens, D model width,
K attention heads, V vocabulary, A position axes, S streams. ``*grid`` stands for the latent axes
of a stream, outermost first: ``(N,)`` for text and sound, ``(H, W)`` images, ``(T, H, W)`` video.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

try:  # run-time checks in tests; the annotations degrade to plain arrays where jaxtyping is absent
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8
except ImportError:  # pragma: no cover - exercised on images without jaxtyping

    class _Plain:
        def __class_getitem__(cls, item):
            return jax.Array

    Array = jax.Array
    Bool = Float = Int = UInt8 = _Plain
    PRNGKeyArray = jax.Array

Tree = Any  # a pytree of arrays
Batch = Mapping[str, Any]  # field name -> array with a leading batch axis
Params = Mapping[str, Any]  # network name -> parameter tree
Function = Callable[..., Any]

__all__ = [
    "Array",
    "Batch",
    "Bool",
    "Float",
    "Function",
    "Int",
    "PRNGKeyArray",
    "Params",
    "Tree",
    "UInt8",
]
