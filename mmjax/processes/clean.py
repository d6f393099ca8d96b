"""A condition: never corrupted, never sampled."""

import dataclasses
from typing import ClassVar

from mmjax.streams import Stream
from mmjax.typing import Array, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Clean:
    """The stream is always given; it has no target and no loss."""

    generative: ClassVar[bool] = False
    continuous: ClassVar[bool] = False

    def observe(self, clean: Stream) -> Stream:
        """The stream itself."""
        return clean

    def corrupt(self, key: PRNGKeyArray, clean: Stream, time: Array) -> tuple[Stream, None]:
        """The stream itself, at its own time (0)."""
        return clean, None

    def loss(self, prediction: Array, target: None, time: Array) -> Array:
        """Raises ValueError: a condition is not predicted."""
        raise ValueError("a Clean stream has no loss")
