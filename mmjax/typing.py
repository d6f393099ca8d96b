"""Array aliases and the glossary of axis names used in annotations.

B batch, T frames, H height, W width, C channels, L samples of a waveform, N tokens, D model width,
K attention heads, V vocabulary, A position axes, S streams. ``*grid`` stands for the latent axes
of a stream, outermost first: ``(N,)`` for text and sound, ``(H, W)`` images, ``(T, H, W)`` video.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Array, PRNGKeyArray

try:  # run-time checks in tests; the annotations degrade to plain arrays where jaxtyping is absent
    from jaxtyping import Bool, Float, Int, UInt8
except ImportError:  # pragma: no cover - exercised on images without jaxtyping

    class _Plain:
        def __class_getitem__(cls, item):
            return item[0]

    Bool = Float = Int = UInt8 = _Plain


def __getattr__(name: str) -> Any:
    """``Array`` and ``PRNGKeyArray`` on demand: host code with NumPy alone imports no JAX."""
    if name not in ("Array", "PRNGKeyArray"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import jaxtyping

        return getattr(jaxtyping, name)
    except ImportError:  # pragma: no cover
        import jax

        return jax.Array


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
