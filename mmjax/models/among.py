"""A network over some of a system's streams."""

from collections.abc import Mapping, Sequence

import flax.linen as nn

from mmjax.streams import Stream, StreamSpec


class Among(nn.Module):
    """Reads some streams and leaves the others alone.

    Attributes:
      streams: the specs of all. Injected by the builder.
      names: those that are read.
      trunk: the network over these, with a field ``streams``.
    """

    streams: Mapping[str, StreamSpec]
    names: Sequence[str]
    trunk: nn.Module

    def __post_init__(self):
        super().__post_init__()
        if unknown := set(self.names) - set(self.streams):
            raise ValueError(f"no stream {sorted(unknown)}; there are {', '.join(self.streams)}")

    def setup(self):
        """The trunk with the specs of its streams alone."""
        specs = {name: spec for name, spec in self.streams.items() if name in self.names}
        self.inner = self.trunk.clone(streams=specs)

    def __call__(
        self, streams: Mapping[str, Stream], *, train: bool = False, decode: bool = False
    ) -> dict[str, Stream]:
        """The trunk's predictions; see it for ``decode``."""
        read = {name: stream for name, stream in streams.items() if name in self.names}
        return self.inner(read, train=train, decode=decode)
