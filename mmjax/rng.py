"""Random keys by name: no two uses share a key, and adding one does not move the others."""

import zlib

import jax

from mmjax.typing import PRNGKeyArray


def named(key: PRNGKeyArray, *names: str | int | jax.Array) -> PRNGKeyArray:
    """Folds each name (a string, or an integer that may be traced) into ``key``."""
    for name in names:
        data = zlib.crc32(name.encode()) if isinstance(name, str) else name
        key = jax.random.fold_in(key, data)
    return key


def named_keys(key: PRNGKeyArray, *names: str) -> dict[str, PRNGKeyArray]:
    """One key per name, such as the ``rngs`` of a Linen module."""
    return {name: named(key, name) for name in names}
